/** The far end of one hop: counts events, raw or through a conversation, and says how many when asked. */
import { workerData } from 'node:worker_threads'
import { portChannel } from '../../dist/sandbox/channel.js'
import { Conversation } from '../../dist/sandbox/rpc.js'

const { port, mode } = workerData
let count = 0
let touched = 0
const seen = (event) => {
  count++
  if (event.data.userId !== undefined) touched++
}

if (mode === 'raw') {
  port.on('message', (event) => {
    if (event !== 'count') {
      seen(event)
      return
    }
    port.postMessage(count)
    count = 0
  })
} else {
  new Conversation(
    portChannel(port),
    {
      request: () => {
        const counted = count
        count = 0
        return counted
      },
      notice: (_verb, [, id, type, source, time], body) => seen({ id, type, source, time, data: body.open() }),
    },
    'the bench',
  )
}
