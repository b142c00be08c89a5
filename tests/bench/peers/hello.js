// What Deno runs: JavaScript, since it has no WASI.
console.log("hello from inside the brig");
