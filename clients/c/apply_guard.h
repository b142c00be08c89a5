/* apply_guard: paths through which a host runs programs later, which are not changed unless they are named. brig. */

#ifndef CLIENTS_C_APPLY_GUARD_H
#define CLIENTS_C_APPLY_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Files and links at these paths, and at all paths below them, are refused. A pattern stands for one or more names in
 * a row, anywhere in a path; `*` stands for any part of one name. Letters count whatever their case, and what is not
 * ASCII does not count at all: some filesystems find ".git" by such spellings.
 */
#define APPLY_GUARD(X)                                                                                              \
	/* pattern                  who runs what                                                                */  \
	X(".git",                   "git runs the hooks and commands that its files name")                          \
	X("git~*",                  "the short name of .git on Windows' filesystems")                               \
	X("head",                   "with it any directory is a repository, and git runs what its config names")    \
	X(".gitmodules",            "git fetches code from where it says")                                          \
	X(".hg",                    "Mercurial runs the hooks that its files name")                                 \
	X(".svn",                   "Subversion's own files")                                                       \
	X(".jj",                    "Jujutsu runs the commands that its files name")                                \
	X(".gitconfig",             "git runs the commands that it names")                                          \
	X(".hgrc",                  "Mercurial runs the commands that it names")                                    \
	X(".husky",                 "hooks of git")                                                                 \
	X(".pre-commit-config.y*",  "hooks of git")                                                                 \
	X("lefthook*",              "hooks of git")                                                                 \
	X(".lefthook*",             "hooks of git")                                                                 \
	X(".env*",                  "direnv and other tools run it, or take the environment from it")               \
	X(".tool-versions",         "says which programs are run")                                                  \
	X(".mise*",                 "mise runs it on entering the directory")                                       \
	X("mise.toml",              "mise runs it on entering the directory")                                       \
	X("*.nix",                  "nix builds and runs it on entering a shell")                                   \
	X("flake.lock",             "says what nix builds and runs")                                                \
	X(".vscode",                "the editor runs its tasks and settings")                                       \
	X("*.code-workspace",       "the editor runs its tasks and settings")                                       \
	X(".idea",                  "the editor runs its configurations")                                           \
	X(".fleet",                 "the editor runs its configurations")                                           \
	X(".zed",                   "the editor runs its tasks")                                                    \
	X(".cursor",                "the editor runs its commands")                                                 \
	X(".mcp.json",              "names programs that tools start")                                              \
	X(".devcontainer*",         "the editor runs its commands")                                                 \
	X(".dir-locals*.el",        "Emacs evaluates it")                                                           \
	X(".emacs*",                "Emacs runs it")                                                                \
	X(".vim*",                  "Vim runs it")                                                                  \
	X(".nvim*",                 "Neovim runs it")                                                               \
	X(".exrc",                  "vi runs it")                                                                   \
	X(".lvimrc",                "Vim runs it")                                                                  \
	X(".gdbinit",               "gdb runs it")                                                                  \
	X(".lldbinit",              "lldb runs it")                                                                 \
	X(".bash*",                 "the shell runs it")                                                            \
	X(".zsh*",                  "the shell runs it")                                                            \
	X(".zprofile",              "the shell runs it")                                                            \
	X(".zlog*",                 "the shell runs it")                                                            \
	X(".profile",               "the shell runs it")                                                            \
	X(".kshrc",                 "the shell runs it")                                                            \
	X(".cshrc",                 "the shell runs it")                                                            \
	X(".tcshrc",                "the shell runs it")                                                            \
	X(".log*",                  "the shell runs .login and .logout")                                            \
	X(".inputrc",               "binds keys of the shell to commands")                                          \
	X(".x*",                    "run when a session starts")                                                    \
	X(".pam_environment",       "the environment of each session")                                              \
	X(".ssh",                   "who may log in, and commands of ssh")                                          \
	X(".gnupg",                 "keys, and programs that gpg starts")                                           \
	X(".forward",               "mail is piped to the programs that it names")                                  \
	X(".config",                "programs find settings there, with commands in them")                          \
	X(".local",                 "programs, services and the state of programs")                                 \
	X(".screenrc",              "screen runs its commands")                                                     \
	X(".tmux*",                 "tmux runs its commands")                                                       \
	X(".wgetrc",                "where wget writes to")                                                         \
	X(".curlrc",                "where curl writes to")                                                         \
	X(".docker",                "names helpers that docker runs")                                               \
	X(".kube",                  "names helpers that kubectl runs")                                              \
	X(".aws",                   "names helpers that the command line tool runs")                                \
	X("*.desktop",              "the desktop runs it")                                                          \
	X("autorun.inf",            "run when a disk is put in")                                                    \
	X(".github",                "the forge runs its workflows")                                                 \
	X(".gitlab*",               "the forge runs its jobs")                                                      \
	X(".gitea",                 "the forge runs its workflows")                                                 \
	X(".forgejo",               "the forge runs its workflows")                                                 \
	X(".circleci",              "run by a build service")                                                       \
	X(".travis.y*",             "run by a build service")                                                       \
	X(".drone.y*",              "run by a build service")                                                       \
	X(".woodpecker*",           "run by a build service")                                                       \
	X(".buildkite",             "run by a build service")                                                       \
	X(".ci",                    "run by a build service")                                                       \
	X("jenkinsfile*",           "run by a build service")                                                       \
	X("azure-pipelines*",       "run by a build service")                                                       \
	X("bitbucket-pipelines*",   "run by a build service")                                                       \
	X("appveyor*",              "run by a build service")                                                       \
	X("makefile*",              "make runs it")                                                                 \
	X("gnumakefile*",           "make runs it")                                                                 \
	X("bsdmakefile*",           "make runs it")                                                                 \
	X("*.mk",                   "make runs it")                                                                 \
	X("*.mak",                  "make runs it")                                                                 \
	X("cmakelists.txt",         "cmake runs it")                                                                \
	X("cmakepresets.json",      "cmake runs it")                                                                \
	X("cmakeuserpresets.json",  "cmake runs it")                                                                \
	X("*.cmake",                "cmake runs it")                                                                \
	X("configure*",             "run before building")                                                          \
	X("autogen.sh",             "run before building")                                                          \
	X("meson.build",            "meson runs it")                                                                \
	X("meson_options.txt",      "meson runs it")                                                                \
	X("build.bazel",            "bazel runs it")                                                                \
	X("*.bzl",                  "bazel runs it")                                                                \
	X("workspace*",             "bazel runs it")                                                                \
	X("module.bazel",           "bazel runs it")                                                                \
	X(".bazelrc",               "bazel runs it")                                                                \
	X("sconstruct",             "scons runs it")                                                                \
	X("sconscript",             "scons runs it")                                                                \
	X("wscript",                "waf runs it")                                                                  \
	X("*.ninja",                "ninja runs it")                                                                \
	X("justfile",               "just runs it")                                                                 \
	X(".justfile",              "just runs it")                                                                 \
	X("taskfile.y*",            "task runs it")                                                                 \
	X("rakefile*",              "rake runs it")                                                                 \
	X("gemfile*",               "bundler runs it")                                                              \
	X("*.gemspec",              "bundler runs it")                                                              \
	X("vagrantfile",            "vagrant runs it")                                                              \
	X("tiltfile",               "tilt runs it")                                                                 \
	X("procfile*",              "names programs that are started")                                              \
	X("dockerfile*",            "run when an image is built")                                                   \
	X("containerfile*",         "run when an image is built")                                                   \
	X("docker-compose*",        "names programs that are started, and directories given to them")               \
	X("compose.y*",             "names programs that are started, and directories given to them")               \
	X("build.rs",               "cargo runs it")                                                                \
	X("cargo.toml",             "cargo builds and runs what it names")                                          \
	X(".cargo",                 "names programs that cargo runs")                                               \
	X("build.zig",              "zig runs it")                                                                  \
	X("build.xml",              "ant runs it")                                                                  \
	X("pom.xml",                "maven runs it")                                                                \
	X(".mvn",                   "maven runs it")                                                                \
	X("mvnw*",                  "run in maven's place")                                                         \
	X("*.gradle",               "gradle runs it")                                                               \
	X("*.gradle.kts",           "gradle runs it")                                                               \
	X("gradle.properties",      "gradle runs with it")                                                          \
	X("gradle-wrapper.*",       "gradle runs it")                                                               \
	X("gradlew*",               "run in gradle's place")                                                        \
	X("build.sbt",              "sbt runs it")                                                                  \
	X("package.json",           "npm runs its scripts")                                                         \
	X(".npmrc",                 "npm takes programs from it")                                                   \
	X(".yarn*",                 "yarn runs it")                                                                 \
	X(".pnpm*",                 "pnpm runs it")                                                                 \
	X("node_modules",           "programs")                                                                     \
	X("*.config.*js",           "run by the tool that it configures")                                           \
	X("*.config.*ts",           "run by the tool that it configures")                                           \
	X(".*rc.js",                "run by the tool that it configures")                                           \
	X(".*rc.cjs",               "run by the tool that it configures")                                           \
	X(".*rc.mjs",               "run by the tool that it configures")                                           \
	X("gulpfile*",              "gulp runs it")                                                                 \
	X("gruntfile*",             "grunt runs it")                                                                \
	X("setup.py",               "pip runs it")                                                                  \
	X("setup.cfg",              "pip and others run what it names")                                             \
	X("pyproject.toml",         "pip and others run what it names")                                             \
	X("conftest.py",            "pytest runs it")                                                               \
	X("pytest.ini",             "pytest runs what it names")                                                    \
	X("tox.ini",                "tox runs its commands")                                                        \
	X("noxfile.py",             "nox runs it")                                                                  \
	X("fabfile.py",             "fab runs it")                                                                  \
	X("sitecustomize.py",       "every Python runs it")                                                         \
	X("usercustomize.py",       "every Python runs it")                                                         \
	X("*.pth",                  "every Python runs it")                                                         \
	X("pyvenv.cfg",             "says where Python is")                                                         \
	X(".venv",                  "programs")                                                                     \
	X("venv",                   "programs")                                                                     \
	X("__pycache__",            "Python runs it in place of its source")                                        \
	X("*.pyc",                  "Python runs it in place of its source")

/* What is in force: the list, apply.json's changes to it, and what the command line allows. */
struct apply_guard;

/* One line of it. */
struct apply_guard_rule {
	const char *pattern, *reason;
};

/*
 * apply_guard_load - the list with the changes of `file`; NULL: of $XDG_CONFIG_HOME/brig/apply.json, else
 * ~/.config/brig/apply.json, if it is there. The file is {"version": 1, "refuse": [PATTERN...], "allow":
 * [PATTERN...]}: `refuse` adds patterns, `allow` takes patterns of the list out of it, each spelled as there. It must
 * belong to the user or root, and nobody else may be able to write to it.
 *
 * Returns 0 with *out for apply_guard_free(), or ERR_INVAL, ERR_DENIED, ERR_IO, ERR_NOMEM.
 */
int apply_guard_load(const char *file, struct apply_guard **out, struct err *e);
void apply_guard_free(struct apply_guard *g);

/*
 * apply_guard_allow - let through the paths that `pattern` matches: a whole path, below the directory that changes are
 * applied to, where `*` stands for any part of one name. Borrows it. ERR_INVAL for one that can match nothing,
 * ERR_NOMEM.
 */
int apply_guard_allow(struct apply_guard *g, const char *pattern, struct err *e);

/* apply_guard_find - the rule that refuses this path (relative, no component empty), or NULL. */
const struct apply_guard_rule *apply_guard_find(const struct apply_guard *g, const char *path);

/* apply_guard_allows - whether the path has been let through. */
bool apply_guard_allows(const struct apply_guard *g, const char *path);

/* apply_guard_fold - a path as patterns see it: two spellings of one name are the same then. Owned; NULL without memory. */
char *apply_guard_fold(const char *path);

#endif
