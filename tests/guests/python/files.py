"""Real work on files below the current directory, /w: a line `ok NAME` for each kind of it."""

import csv
import json
import os
import pathlib
import shutil
import tempfile
import zipfile


def temporary_files():
    with tempfile.TemporaryDirectory(dir=".") as d:
        with open(os.path.join(d, "x"), "w") as f:
            f.write("hi")
        assert os.listdir(d) == ["x"]
    assert not os.path.exists(d)
    with tempfile.NamedTemporaryFile(dir=".") as f:
        f.write(b"abc")
        f.flush()
        assert os.path.getsize(f.name) == 3
    with tempfile.TemporaryFile(dir=".") as f:
        f.write(b"1" * 100000)
        f.seek(0)
        assert len(f.read()) == 100000


def trees():
    for i in range(5):
        os.makedirs("tree/a%d/b/c" % i, exist_ok=True)
        pathlib.Path("tree/a%d/b/f%d.txt" % (i, i)).write_text(str(i))
    assert sum(len(files) for _, _, files in os.walk("tree")) == 5
    shutil.copytree("tree", "copy")
    shutil.move("copy/a0", "copy/moved")
    assert sorted(p.name for p in pathlib.Path("copy").glob("**/*.txt")) == ["f%d.txt" % i for i in range(5)]
    shutil.rmtree("copy")
    assert not os.path.exists("copy")


def archives():
    with zipfile.ZipFile("z.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for top, _, files in os.walk("tree"):
            for name in files:
                z.write(os.path.join(top, name))
    with zipfile.ZipFile("z.zip") as z:
        z.extractall("out")
    assert pathlib.Path("out/tree/a3/b/f3.txt").read_text() == "3"
    assert os.path.getsize(shutil.make_archive("tar", "gztar", "tree")) > 0


def data():
    with open("j.json", "w") as f:
        json.dump({"a": [1, 2]}, f)
    with open("j.json") as f:
        assert json.load(f) == {"a": [1, 2]}
    with open("c.csv", "w", newline="") as f:
        csv.writer(f).writerows([[1, 2], [3, 4]])
    with open("c.csv", newline="") as f:
        assert list(csv.reader(f)) == [["1", "2"], ["3", "4"]]
    os.replace("j.json", "c.csv")


def links():
    os.symlink("in.txt", "ln")
    assert os.readlink("ln") == "in.txt" and os.path.islink("ln") and pathlib.Path("ln").read_text() == "hello"
    os.link("in.txt", "hard")
    assert os.stat("hard").st_nlink == 2 and os.path.samefile("hard", "ln")
    os.unlink("ln")
    os.unlink("hard")
    assert os.path.realpath("tree/../in.txt") == "/w/in.txt"


def large_files():
    with open("big", "wb") as f:
        f.truncate(3 << 30)
        f.seek((3 << 30) - 1)
        f.write(b"x")
    assert os.path.getsize("big") == 3 << 30
    with open("big", "rb") as f:
        f.seek(1 << 31)
        assert f.read(4) == bytes(4)
        f.seek(-1, os.SEEK_END)
        assert f.read() == b"x"
    os.unlink("big")


def state():
    os.utime("in.txt", (5, 6))
    assert (os.stat("in.txt").st_atime, os.stat("in.txt").st_mtime) == (5, 6)
    fd = os.open("in.txt", os.O_RDWR)
    os.ftruncate(fd, 2)
    assert os.read(fd, 10) == b"he"
    os.fsync(fd)
    os.close(fd)


os.chdir("/w")
for work in (temporary_files, trees, archives, data, links, large_files, state):
    work()
    print("ok", work.__name__)
shutil.rmtree("tree")
shutil.rmtree("out")
