/** Makes calls over a port as fast as it can, so many under way at a time, and says how long they took. */
import { parentPort, workerData } from 'node:worker_threads'
import * as Comlink from 'comlink'

const { port, mode } = workerData

const bare = () => {
  const pending = new Map()
  let last = 0
  port.on('message', ([id, value]) => {
    const resolve = pending.get(id)
    pending.delete(id)
    resolve(value)
  })
  return (name) =>
    new Promise((resolve) => {
      pending.set(++last, resolve)
      port.postMessage([last, 'greet', [name]])
    })
}

const remote = mode === 'comlink' ? Comlink.wrap(port) : undefined
const greet = remote ? (name) => remote.greet(name) : bare()

parentPort.on('message', async ({ calls, inFlight }) => {
  let made = 0
  const one = async () => {
    while (made < calls) {
      made++
      await greet('bob')
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  parentPort.postMessage('done')
})
