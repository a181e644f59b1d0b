/** The two ends of plugin → kernel → plugin with bare ports: one posts bursts of events, the other counts them. */
import { parentPort, workerData } from 'node:worker_threads'

const event = (i) => ({
  id: `bench-${i.toString(36)}`,
  type: 'bench.event',
  source: 'publisher',
  time: '2026-01-01T00:00:00.000Z',
  data: { userId: `u${i}`, n: i },
})

if (workerData === 'publisher') {
  parentPort.on('message', ({ total, burst }) => {
    let sent = 0
    const tick = () => {
      for (let i = 0; i < burst && sent < total; i++, sent++) parentPort.postMessage(event(sent))
      if (sent < total) setImmediate(tick)
    }
    tick()
  })
} else {
  let expected = 0
  let count = 0
  parentPort.on('message', (message) => {
    if (message.expect !== undefined) expected = message.expect
    else if (message.data.userId !== undefined) count++
    if (count === expected) {
      count = 0
      parentPort.postMessage('done')
    }
  })
}
