// pyodide_run.mjs PYODIDE.mjs CODE: runs Python code by Pyodide in Node, once, as a command.

import process from "node:process";
import { pathToFileURL } from "node:url";

const { loadPyodide } = await import(pathToFileURL(process.argv[2]));
const pyodide = await loadPyodide();
pyodide.runPython(process.argv[3]);
process.exit(0);
