/** Pairs of channel ends of every kind there is, for suites that hold for all of them. */

import { Duplex } from 'node:stream'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { onTestFinished } from 'vitest'
import { type Channel, channelPair, portChannel } from '#src/sandbox/channel.js'
import { FramedChannel } from '#src/sandbox/framed-channel.js'

/** Each gives two ends that are closed after the test. */
export const CHANNELS: Record<string, () => [Channel, Channel]> = {
  'two ports in one thread': () => {
    const { port1, port2 } = new MessageChannel()
    return closing([portChannel(port1), portChannel(port2)])
  },
  'a port to a worker': () => closing(toWorker()),
  'a stream of bytes': () => {
    const [here, there] = streamPair()
    return closing([new FramedChannel(here, 'kernel'), new FramedChannel(there, 'guest')])
  },
  'a pair within a thread': () => closing(channelPair()),
}

/** The two ends of a connection, as a socket has them: what one writes the other reads, and the end of one ends the other. */
export const streamPair = (): [Duplex, Duplex] => {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      allowHalfOpen: false,
      read() {},
      write(chunk, _encoding, done) {
        setImmediate(() => {
          other().push(chunk)
          done()
        })
      },
      final(done) {
        setImmediate(() => {
          other().push(null)
          done()
        })
      },
    })
  const here: Duplex = make(() => there)
  const there: Duplex = make(() => here)
  return [here, there]
}

const closing = (ends: [Channel, Channel]): [Channel, Channel] => {
  onTestFinished(() => {
    for (const end of ends) end.close()
  })
  return ends
}

/** In the worker sits a real port channel; what it receives comes back here over a second port, and what it is to send goes there. */
const RELAY = `
import { MessagePort, workerData } from 'node:worker_threads'
const { portChannel } = await import(workerData.channel)
const { wire, control } = workerData
const channel = portChannel(wire)
control.on('message', ({ act, batch, transfer }) => {
  if (act === 'listen') {
    channel.listen(
      (received) => control.postMessage({ received }, received.filter((item) => item instanceof MessagePort)),
      () => control.postMessage({ closed: true }),
    )
    control.postMessage({ listening: true })
  }
  else if (act === 'send') channel.send(batch, transfer)
  else channel.close()
})
`

const toWorker = (): [Channel, Channel] => {
  const wire = new MessageChannel()
  const control = new MessageChannel()
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(RELAY)}`), {
    workerData: { wire: wire.port2, control: control.port2, channel: import.meta.resolve('#src/sandbox/channel.js') },
    transferList: [wire.port2, control.port2],
  })
  onTestFinished(async () => {
    await worker.terminate()
  })
  return [portChannel(wire.port1), new RemoteEnd(control.port1)]
}

/** The end in a worker, seen from here. */
export class RemoteEnd implements Channel {
  readonly #control: MessagePort
  #listening: () => void = () => {}
  /** Resolves when the worker has taken up the call of `listen`: from here, that alone takes its time. */
  readonly listening = new Promise<void>((resolve) => {
    this.#listening = resolve
  })

  constructor(control: MessagePort) {
    this.#control = control
    control.unref()
  }

  send(batch: unknown[], transfer?: Parameters<Channel['send']>[1]): void {
    this.#control.postMessage({ act: 'send', batch, transfer }, transfer)
  }

  listen(received: (batch: unknown[]) => void, closed: () => void): void {
    this.#control.on('message', (message: { received?: unknown[]; listening?: boolean }) => {
      if (message.received) received(message.received)
      else if (message.listening) this.#listening()
      else closed()
    })
    this.#control.postMessage({ act: 'listen' })
  }

  close(): void {
    this.#control.postMessage({ act: 'close' })
  }
}
