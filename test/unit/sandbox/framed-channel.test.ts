import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { serialize } from 'node:v8'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Batch } from '#src/sandbox/channel.js'
import { FRAME_LIMIT, FramedChannel } from '#src/sandbox/framed-channel.js'
import { streamPair } from '../../support/channels.js'
import { eventually } from '../../support/eventually.js'

const open = () => {
  const [here, there] = streamPair()
  const ends = { kernel: new FramedChannel(here, 'kernel'), guest: new FramedChannel(there, 'guest') }
  onTestFinished(() => {
    ends.kernel.close()
    ends.guest.close()
  })
  return { ...ends, here, there }
}

/** The kernel's end, with what it makes of bytes that are written to it. */
const receiving = () => {
  const [here, there] = streamPair()
  const batches: Batch[] = []
  const faults: (Error | undefined)[] = []
  const channel = new FramedChannel(here, 'kernel')
  channel.listen(
    (batch) => batches.push(batch),
    (fault) => faults.push(fault),
  )
  onTestFinished(() => channel.close())
  return { channel, wire: there, batches, faults }
}

/** Two ends of a connection that the system holds: what one of them does not read waits with the other. */
const socketPair = async (): Promise<[Socket, Socket]> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const there = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [here] = (await once(server, 'connection')) as [Socket]
  onTestFinished(() => {
    for (const each of [here, there]) each.destroy()
    server.close()
  })
  return [here, there]
}

/** The bytes of what a guest sends. */
const bytesOf = async (send: (guest: FramedChannel) => void): Promise<Buffer> => {
  const [here, there] = streamPair()
  send(new FramedChannel(there, 'guest'))
  const [chunk] = (await once(here, 'data')) as [Buffer]
  return chunk
}

const varint = (number: number): number[] => (number < 128 ? [number] : [(number & 127) | 128, ...varint(number >>> 7)])

const framed = (line: number, body: Buffer): Buffer => {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(body.length + 4)
  head.writeUInt32LE(line, 4)
  return Buffer.concat([head, body])
}

const received = async (port: MessagePort): Promise<unknown> => ((await once(port, 'message')) as unknown[])[0]

describe('frames', () => {
  it('are put together from pieces of any size', async () => {
    const bytes = Buffer.concat([
      await bytesOf((guest) => guest.send(['first', 1])),
      await bytesOf((guest) => guest.send([{ second: 2n }])),
    ])
    const { wire, batches, channel } = receiving()
    for (const byte of bytes.subarray(0, -1)) wire.write(Buffer.from([byte]))
    await eventually(() => expect([batches, channel.unfinished]).toEqual([[['first', 1]], true]))
    wire.write(bytes.subarray(-1))
    await eventually(() => expect([batches, channel.unfinished]).toEqual([[['first', 1], [{ second: 2n }]], false]))
  })

  it('that are too long end the channel before any of them is kept', async () => {
    const { wire, faults, batches } = receiving()
    const head = Buffer.alloc(8)
    head.writeUInt32LE(FRAME_LIMIT + 1)
    wire.write(head)
    await eventually(() => expect(faults).toEqual([expect.objectContaining({ message: expect.stringContaining(String(FRAME_LIMIT)) })]))
    expect(batches).toEqual([])
  })

  it('of any bytes end the channel with a fault or wait for more, and never throw', async () => {
    const frame = (bytes: Uint8Array): Buffer => {
      const head = Buffer.alloc(8)
      head.writeUInt32LE(bytes.length + 4)
      return Buffer.concat([head, bytes])
    }
    const good = await bytesOf((guest) => guest.send([{ a: [1, 'two', new Map([[3, new Date(4)]])] }]))
    const mutated = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
      const bytes = Buffer.from(good)
      for (const [at, byte] of changes) bytes[at] = byte
      return bytes
    })
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array(), fc.uint8Array().map(frame), mutated), async (bytes) => {
        const [here, there] = streamPair()
        const channel = new FramedChannel(here, 'kernel')
        let closed = 0
        channel.listen(
          () => {},
          () => closed++,
        )
        there.on('error', () => {})
        there.end(Buffer.from(bytes))
        await eventually(() => expect(closed).toBe(1))
      }),
      { numRuns: 300 },
    )
  })

  it('whose few bytes stand for very many objects end the channel before one of them is made', async () => {
    const { wire, faults, batches } = receiving()
    const body = serialize([Array.from({ length: 300_000 }, () => ({}))])
    const head = Buffer.alloc(8)
    head.writeUInt32LE(body.length + 4)
    wire.write(head)
    wire.write(body)
    await eventually(() => expect(faults).toEqual([expect.objectContaining({ message: expect.stringContaining('too many parts') })]))
    expect(batches).toEqual([])
  })

  it('are read for a while, then others have their turn, and none is lost', async () => {
    const frame = await bytesOf((guest) => guest.send(new Array<number>(255).fill(0)))
    const COUNT = 300
    const [here, there] = streamPair()
    const channel = new FramedChannel(here, 'kernel')
    onTestFinished(() => channel.close())
    let seen = 0
    let after: number | undefined
    channel.listen(
      () => {
        if (++seen === 1) setImmediate(() => (after = seen))
        for (const until = performance.now() + 1; performance.now() < until; );
      },
      () => {},
    )
    // All in one piece.
    there.write(Buffer.concat(new Array<Buffer>(COUNT).fill(frame)))
    await eventually(() => expect(seen).toBe(COUNT))
    expect(after).toBeLessThan(COUNT)
  })

  it('are not read from who does not read what it gets, until it does', async () => {
    const ask = await bytesOf((guest) => guest.send(['one more']))
    const ASKED = 200
    const [here, there] = await socketPair()
    const channel = new FramedChannel(here, 'kernel')
    const answer = [new Uint8Array(1_024 * 1_024)]
    let asked = 0
    channel.listen(
      () => {
        asked++
        channel.send(answer)
      },
      () => {},
    )
    there.write(Buffer.concat(new Array<Buffer>(ASKED).fill(ask)))
    await eventually(() => expect(here.writableLength).toBeGreaterThan(32 * 1_024 * 1_024))
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(asked).toBeLessThan(ASKED / 2)
    there.resume()
    await eventually(() => expect(asked).toBe(ASKED))
  })

  it('that came before the end of the stream are all read', async () => {
    const frame = await bytesOf((guest) => guest.send(new Array<number>(255).fill(0)))
    const { wire, batches, faults } = receiving()
    wire.end(Buffer.concat(new Array<Buffer>(100).fill(frame)))
    await eventually(() => expect(faults).toEqual([undefined]))
    expect(batches).toHaveLength(100)
  })

  it('with a number of a port that is taken or not the sender’s end the channel', async () => {
    const { port1, port2 } = new MessageChannel()
    onTestFinished(() => port1.close())
    const bytes = await bytesOf((guest) => guest.send([port2], [port2]))
    const { wire, faults } = receiving()
    wire.write(bytes)
    wire.write(bytes)
    await eventually(() => expect(faults).toEqual([expect.objectContaining({ message: expect.stringContaining('port') })]))
  })
})

describe('large buffers that are moved', () => {
  const LARGE = 1_024 * 1_024
  const counted = (length: number): ArrayBuffer => {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at++) bytes[at] = at % 251
    return bytes.buffer
  }

  /** What it writes to its stream. */
  const writtenBy = (side: 'kernel' | 'guest', send: (channel: FramedChannel) => void): Buffer[] => {
    const [here] = streamPair()
    const written: Buffer[] = []
    here.write = (chunk: Buffer): boolean => written.push(chunk) > 0
    const channel = new FramedChannel(here, side)
    onTestFinished(() => channel.close())
    send(channel)
    return written
  }

  it.each([
    ['kernel', 'guest'],
    ['guest', 'kernel'],
  ] as const)('by the %s arrive as they were, with what looks at them, in the order of what was sent', async (from, to) => {
    const { [from]: sender, [to]: receiver } = open()
    const batches: Batch[] = []
    receiver.listen(
      (batch) => batches.push(batch),
      () => {},
    )
    const [one, other, small] = [counted(LARGE), counted(LARGE + 1), counted(10)]
    const views = [new Uint8Array(one, 3, 5), new Float64Array(one), { other }, new Uint8Array(small)]
    const expected = structuredClone(views)
    sender.send(['before'])
    sender.send(views, [small, one, other])
    sender.send([new Uint8Array(counted(LARGE))])
    expect([one.byteLength, other.byteLength, small.byteLength]).toEqual([0, 0, 0])
    await eventually(() => expect(batches).toHaveLength(3))
    const bytesOfAll = (parts: readonly unknown[]): Buffer =>
      Buffer.concat(
        (parts as (Uint8Array<ArrayBuffer> | { other: ArrayBuffer })[]).map(
          (each) => new Uint8Array('other' in each ? each.other : each.buffer),
        ),
      )
    expect(bytesOfAll(batches[1] ?? []).equals(bytesOfAll(expected))).toBe(true)
    const [view, whole] = batches[1] as [Uint8Array, Float64Array]
    expect(view.buffer).toBe(whole.buffer)
    expect([...view]).toEqual([3, 4, 5, 6, 7])
    expect((batches[2] as [Uint8Array])[0]).toHaveLength(LARGE)
  })

  it.each(['kernel', 'guest'] as const)('are written by the %s as they are: no turn of its thread is spent on copying them', (side) => {
    const buffer = counted(LARGE)
    const written = writtenBy(side, (channel) => channel.send([new Uint8Array(buffer)], [buffer]))
    expect(written.filter(({ length }) => length >= LARGE).map((each) => each.equals(Buffer.from(counted(LARGE))))).toEqual([true])
  })

  it('are put together from pieces of any size', async () => {
    const buffers = [counted(LARGE), counted(LARGE)]
    const bytes = Buffer.concat(
      writtenBy('guest', (guest) => {
        guest.send(buffers, buffers)
        guest.send(['next'])
      }),
    )
    const { wire, batches, channel } = receiving()
    for (let at = 0; at < bytes.length; at += 99_991) wire.write(bytes.subarray(at, at + 99_991))
    await eventually(() => expect(batches).toHaveLength(2))
    expect(batches[0]?.map((each) => Buffer.from(each as ArrayBuffer).equals(Buffer.from(counted(LARGE))))).toEqual([true, true])
    expect([batches[1], channel.unfinished]).toEqual([['next'], false])
  })

  const headOf = (length: number): Buffer => {
    const head = Buffer.alloc(8)
    head.writeUInt32LE(length + 4)
    head.writeUInt32LE(2 ** 32 - 1, 4)
    return head
  }

  it('and do not come are a part of a message', async () => {
    const { wire, channel } = receiving()
    wire.write(Buffer.concat([headOf(LARGE), Buffer.alloc(LARGE)]))
    await eventually(() => expect(channel.unfinished).toBe(true))
  })

  it.each([
    ['are small', [headOf(8)], 'goes in its value'],
    [
      'are together more than a frame may have',
      [headOf(FRAME_LIMIT / 2), Buffer.alloc(FRAME_LIMIT / 2), headOf(FRAME_LIMIT / 2 + 1)],
      'more than',
    ],
  ])('and %s end the channel, before the last of them is kept', async (_, pieces, why) => {
    const { wire, batches, faults } = receiving()
    for (const piece of pieces) wire.write(piece)
    await eventually(() => expect(faults).toEqual([expect.objectContaining({ message: expect.stringContaining(why) })]))
    expect(batches).toEqual([])
  })
})

describe('ports', () => {
  it('cross in messages of ports that crossed', async () => {
    const { kernel, guest } = open()
    const outer = new MessageChannel()
    const inner = new MessageChannel()
    const arrived = new Promise<MessagePort>((resolve) =>
      guest.listen(
        ([port]) => resolve(port as MessagePort),
        () => {},
      ),
    )
    kernel.send([outer.port2], [outer.port2])
    const far = await arrived
    outer.port1.postMessage({ inner: inner.port2 }, [inner.port2])
    const { inner: farther } = (await received(far)) as { inner: MessagePort }
    farther.postMessage(new Set(['there and back']))
    await expect(received(inner.port1)).resolves.toEqual(new Set(['there and back']))
    inner.port1.postMessage(1)
    await expect(received(farther)).resolves.toBe(1)
    outer.port1.close()
    inner.port1.close()
    await Promise.all([once(far, 'close'), once(farther, 'close')])
  })

  it('end with the channel, at both ends', async () => {
    const { kernel, guest } = open()
    const { port1, port2 } = new MessageChannel()
    const arrived = new Promise<MessagePort>((resolve) =>
      guest.listen(
        ([port]) => resolve(port as MessagePort),
        () => {},
      ),
    )
    kernel.listen(
      () => {},
      () => {},
    )
    kernel.send([port2], [port2])
    const far = await arrived
    const ended = [once(port1, 'close'), once(far, 'close')]
    kernel.close()
    await Promise.all(ended)
  })

  it('go to another process as many at once as a call has arguments, and no more', async () => {
    const { kernel, guest } = open()
    const arrived: unknown[] = []
    kernel.listen(
      (batch) => arrived.push(...batch),
      () => {},
    )
    const pairs = Array.from({ length: 257 }, () => new MessageChannel())
    onTestFinished(() => {
      for (const { port1 } of pairs) port1.close()
    })
    const ports = pairs.map(({ port2 }) => port2)
    const few = ports.slice(1)
    guest.send([few], few)
    await eventually(() => expect(arrived).toHaveLength(1))
    expect(arrived[0]).toHaveLength(256)
    const others = Array.from({ length: 257 }, () => new MessageChannel().port2)
    expect(() => guest.send([others], others)).toThrow(
      expect.objectContaining({ name: 'DataCloneError', message: expect.stringContaining('no more than 256 ports') }),
    )
  })

  it.each([
    ['more of them than a call has arguments', 0, 300],
    ['one beside the conversation', 1, 1],
  ])('that no honest guest sends end the channel: %s', async (_what, line, count) => {
    const { wire, faults } = receiving()
    // An array of host objects, each with the number of its line.
    const body = [0xff, 0x0f, 0x41, ...varint(count)]
    for (let i = 0; i < count; i++) body.push(0x5c, ...varint(3 + 2 * i))
    body.push(0x24, 0, ...varint(count))
    wire.write(framed(line, Buffer.from(body)))
    await eventually(() =>
      expect(faults).toEqual([expect.objectContaining({ message: expect.stringMatching(/^a value has more than \d+ ports$/) })]),
    )
  })

  it('lose a message that cannot cross, and bring the next', async () => {
    const { kernel, guest } = open()
    const { port1, port2 } = new MessageChannel()
    onTestFinished(() => port1.close())
    const arrived = new Promise<MessagePort>((resolve) =>
      guest.listen(
        ([port]) => resolve(port as MessagePort),
        () => {},
      ),
    )
    kernel.send([port2], [port2])
    const far = await arrived
    port1.postMessage(new SharedArrayBuffer(8))
    port1.postMessage('next')
    await expect(received(far)).resolves.toBe('next')
  })
})

describe('a guest', () => {
  it('is refused a value that is too long to be sent, and may go on', async () => {
    const { kernel, guest } = open()
    const batches: Batch[] = []
    kernel.listen(
      (batch) => batches.push(batch),
      () => {},
    )
    expect(() => guest.send([new Uint8Array(FRAME_LIMIT)])).toThrow(
      expect.objectContaining({ name: 'DataCloneError', message: expect.stringContaining(String(FRAME_LIMIT)) }),
    )
    const [one, other] = [new ArrayBuffer(FRAME_LIMIT / 2), new ArrayBuffer(FRAME_LIMIT / 2)]
    expect(() => guest.send([one, other], [one, other])).toThrow(expect.objectContaining({ name: 'DataCloneError' }))
    guest.send(['next'])
    await eventually(() => expect(batches).toEqual([['next']]))
  })

  it('is refused a value of too many parts, and may go on', async () => {
    const { kernel, guest } = open()
    const batches: Batch[] = []
    kernel.listen(
      (batch) => batches.push(batch),
      () => {},
    )
    expect(() => guest.send([Array.from({ length: 300_000 }, () => ({}))])).toThrow(
      expect.objectContaining({ name: 'DataCloneError', message: expect.stringContaining('too many parts') }),
    )
    guest.send(['next'])
    await eventually(() => expect(batches).toEqual([['next']]))
  })

  it('may not move what only threads can share', () => {
    const { guest } = open()
    const stream = new ReadableStream()
    expect(() => guest.send([stream], [stream as never])).toThrow(expect.objectContaining({ name: 'DataCloneError' }))
  })
})
