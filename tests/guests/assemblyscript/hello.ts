// The AssemblyScript guest of the scenario tests.

console.log("hello from AssemblyScript");
console.log("arguments: " + (process.argv.length - 1).toString());
console.error("and on stderr");
if (process.argv.length > 1 && process.argv[1] == "abort") {
  throw new Error("asked to");
}
