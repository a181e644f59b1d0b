/** Answers calls over a port: bare, or through comlink. */
import { workerData } from 'node:worker_threads'
import * as Comlink from 'comlink'

const { port, mode } = workerData
const greet = (name) => `hello ${name}`

if (mode === 'comlink') Comlink.expose({ greet }, port)
else port.on('message', ([id, , args]) => port.postMessage([id, greet(args[0])]))
