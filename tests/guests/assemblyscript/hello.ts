// The AssemblyScript guest of the scenario tests.

console.log("hello from AssemblyScript");
console.log("arguments: " + (process.argv.length - 1).toString());
process.stderr.write("and on stderr\n"); // console.error writes to stdout in this library
if (process.argv.length > 1 && process.argv[1] == "abort") {
  throw new Error("asked to");
}
