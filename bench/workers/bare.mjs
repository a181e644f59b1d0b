/** A bare worker: says that it is there, and stays. */
import { parentPort } from 'node:worker_threads'

parentPort.on('message', () => {})
parentPort.postMessage('here')
