import { MessageChannel } from 'node:worker_threads'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Channel, portChannel } from '#src/sandbox/channel.js'
import { CHANNELS, RemoteEnd } from '../support/channels.js'
import { CLONEABLE, expectClone, UNCLONEABLE } from '../support/cloned.js'
import { eventually } from '../support/eventually.js'

interface Heard {
  batches: unknown[][]
  closed: number
}

const hear = async (channel: Channel): Promise<Heard> => {
  const heard: Heard = { batches: [], closed: 0 }
  channel.listen(
    (batch) => {
      heard.batches.push(heard.closed > 0 ? ['after the end', batch] : batch)
    },
    () => {
      heard.closed++
    },
  )
  if (channel instanceof RemoteEnd) await channel.listening
  return heard
}

for (const [kind, open] of Object.entries(CHANNELS)) {
  describe(`a channel over ${kind}`, () => {
    it('brings batches in order, both ways', async () => {
      const [here, there] = open()
      const heard = [await hear(here), await hear(there)] as const
      for (let i = 0; i < 50; i++) {
        here.send(['to there', i])
        there.send(['to here', i])
      }
      await eventually(() => expect(heard[1].batches).toHaveLength(50))
      await eventually(() => expect(heard[0].batches).toHaveLength(50))
      expect(heard[1].batches).toEqual(Array.from({ length: 50 }, (_, i) => ['to there', i]))
      expect(heard[0].batches).toEqual(Array.from({ length: 50 }, (_, i) => ['to here', i]))
    })

    it('keeps what is sent before anybody listens', async () => {
      const [here, there] = open()
      here.send([1])
      here.send([2])
      const heard = await hear(there)
      await eventually(() => expect(heard.batches).toEqual([[1], [2]]))
    })

    it('copies a batch before send returns', async () => {
      const [here, there] = open()
      const heard = await hear(there)
      const value = { a: 1 }
      const batch = ['first', value]
      const plain = ['second', 1]
      here.send(batch)
      here.send(plain)
      value.a = 2
      batch[0] = 'changed'
      plain.push('more')
      await eventually(() =>
        expect(heard.batches).toEqual([
          ['first', { a: 1 }],
          ['second', 1],
        ]),
      )
    })

    it('brings every value as structuredClone would', async () => {
      const [here, there] = open()
      const heard = await hear(there)
      const values = Object.values(CLONEABLE)
      for (const make of values) here.send([make()])
      await eventually(() => expect(heard.batches).toHaveLength(values.length))
      for (const [index, make] of values.entries()) expectClone(heard.batches[index], structuredClone([make()]))
    })

    it('throws a DataCloneError for a batch that cannot be copied, and loses none beside it', async () => {
      const [here, there] = open()
      const heard = await hear(there)
      for (const make of Object.values(UNCLONEABLE)) {
        here.send(['good'])
        expect(() => here.send([make()])).toThrow(expect.objectContaining({ name: 'DataCloneError' }))
      }
      here.send(['last'])
      await eventually(() => expect(heard.batches.at(-1)).toEqual(['last']))
      expect(heard.batches).toHaveLength(Object.keys(UNCLONEABLE).length + 1)
    })

    it('moves what it is told to move', async () => {
      const [here, there] = open()
      const heard = await hear(there)
      const bytes = new Uint8Array([1, 2, 3])
      const { port1, port2 } = new MessageChannel()
      here.send([bytes], [bytes.buffer])
      here.send([port2], [port2])
      expect(bytes.byteLength).toBe(0)
      await eventually(() => expect(heard.batches).toHaveLength(2))
      expectClone(heard.batches[0], [new Uint8Array([1, 2, 3])])
      const moved = heard.batches[1]?.[0] as typeof port2
      const answer = new Promise((resolve) => port1.once('message', resolve))
      moved.postMessage('over the moved port')
      await expect(answer).resolves.toBe('over the moved port')
      port1.close()
    })

    it('tells both ends once that it is closed, after what was sent', async () => {
      const [here, there] = open()
      const heard = [await hear(here), await hear(there)] as const
      here.send([1])
      here.send([2])
      here.close()
      await eventually(() => expect([heard[0].closed, heard[1].closed]).toEqual([1, 1]))
      expect(heard[1].batches).toEqual([[1], [2]])
    })

    it('may be closed again and from both ends', async () => {
      const [here, there] = open()
      const heard = [await hear(here), await hear(there)] as const
      here.close()
      there.close()
      here.close()
      await eventually(() => expect([heard[0].closed, heard[1].closed]).toEqual([1, 1]))
      there.close()
      here.close()
      await new Promise((resolve) => setImmediate(resolve))
      expect([heard[0].closed, heard[1].closed]).toEqual([1, 1])
    })

    it('does nothing with what is sent after the end', async () => {
      const [here, there] = open()
      const heard = [await hear(here), await hear(there)] as const
      here.close()
      here.send(['late'])
      await eventually(() => expect([heard[0].closed, heard[1].closed]).toEqual([1, 1]))
      here.send(['later'])
      expect(heard[1].batches).toEqual([])
      expect(heard[0].batches).toEqual([])
    })
  })
}

describe('a channel over a port', () => {
  it.each(['that is read', 'whose other end is gone'])('%s gives way to others, however much is in it, and loses nothing', async (how) => {
    const { port1, port2 } = new MessageChannel()
    const here = portChannel(port1)
    onTestFinished(() => {
      here.close()
      port2.close()
    })
    const COUNT = 300
    for (let i = 0; i < COUNT; i++) port2.postMessage([i, ...new Array<number>(255).fill(0)])
    const seen: unknown[] = []
    let done = false
    const take = (batch: unknown[]): void => {
      seen.push(batch[0])
      for (const until = performance.now() + 1; performance.now() < until; );
    }
    let after: number | undefined
    setTimeout(() => (after = seen.length), 1)
    here.listen(take, () => {})
    if (how !== 'that is read') here.rest(() => (done = true))
    await eventually(() => expect(seen).toHaveLength(COUNT))
    expect(seen).toEqual(Array.from({ length: COUNT }, (_, i) => i))
    expect(after).toBeLessThan(COUNT)
    if (how !== 'that is read') await eventually(() => expect(done).toBe(true))
  })

  it('reads few values in one turn that may have taken long to make', async () => {
    const { port1, port2 } = new MessageChannel()
    const here = portChannel(port1)
    onTestFinished(() => here.close())
    for (let i = 0; i < 12; i++) port2.postMessage([i, new Map()])
    let seen = 0
    here.listen(
      () => {
        seen++
        for (const until = performance.now() + 2; performance.now() < until; );
      },
      () => {},
    )
    const inOneTurn: number[] = []
    for (let before = 0; before < 12; before = seen) {
      await new Promise(setImmediate)
      inOneTurn.push(seen - before)
    }
    expect(Math.max(...inOneTurn)).toBeLessThan(4)
  })

  it('that is closed reads nothing more of what is in it', async () => {
    const { port1, port2 } = new MessageChannel()
    const here = portChannel(port1)
    for (let i = 0; i < 10; i++) port2.postMessage([i])
    const seen: unknown[] = []
    let closed = false
    here.listen(
      (batch) => {
        seen.push(batch[0])
        here.close()
      },
      () => (closed = true),
    )
    await eventually(() => expect(closed).toBe(true))
    expect(seen).toEqual([0])
  })
})
