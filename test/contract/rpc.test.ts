import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { PlugbayError } from '#src/errors.js'
import { type Batch, type Channel, channelPair } from '#src/sandbox/channel.js'
import type { Call } from '#src/sandbox/conversation/call.js'
import { Boxed } from '#src/sandbox/conversation/party.js'
import { pack } from '#src/sandbox/values/codec.js'
import { CHANNELS } from '../support/channels.js'
import { CLONEABLE, expectClone, UNCLONEABLE } from '../support/cloned.js'
import { converse, gate } from '../support/conversations.js'
import { eventually } from '../support/eventually.js'

const error = (code: string, text?: RegExp) =>
  expect.objectContaining({ code, ...(text ? { message: expect.stringMatching(text) as string } : {}) }) as PlugbayError

/** Counts the batches that leave over a channel. */
const counted = (channel: Channel): { channel: Channel; batches: Batch[] } => {
  const batches: Batch[] = []
  return {
    batches,
    channel: {
      send: (batch, transfer) => {
        batches.push([...batch])
        channel.send(batch, transfer)
      },
      listen: (received, closed) => channel.listen(received, closed),
      close: () => channel.close(),
    },
  }
}

for (const [kind, open] of Object.entries(CHANNELS)) {
  describe(`a conversation over ${kind}`, () => {
    it('answers requests, at once or later', async () => {
      const { here } = converse(open(), (call, body) => (call.verb === 'now' ? { got: body } : Promise.resolve({ later: body })))
      await expect(here.request('now', { a: 1 })).resolves.toEqual({ got: { a: 1 } })
      await expect(here.request('later', 'text')).resolves.toEqual({ later: 'text' })
      await expect(here.request('now')).resolves.toEqual({ got: undefined })
      expect(here.pending).toBe(0)
    })

    it('talks both ways at once', async () => {
      const [near, far] = open()
      const talk = converse([near, far], async (_call, body) => `${String(body)} heard`)
      const backwards = talk.there.request('anything')
      await expect(talk.here.request('say', 'this')).resolves.toBe('this heard')
      await expect(backwards).resolves.toBeUndefined()
    })

    it('gives each of a thousand requests under way its own answer', async () => {
      const { here } = converse(open(), async (_call, body) => {
        const number = body as number
        for (let i = 0; i < number % 7; i++) await Promise.resolve()
        return number * 2
      })
      const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => here.request('double', i)))
      expect(answers).toEqual(Array.from({ length: 1_000 }, (_, i) => i * 2))
    })

    it('keeps the order of notices and requests, plain and live, small and large', async () => {
      const seen: unknown[] = []
      const { here } = converse(open(), (_call, body) => seen.push((body as { n: number }).n), {
        notice: (_verb, _metas, body) => seen.push((body.open() as { n: number }).n),
      })
      const kinds = [
        (n: number) => here.notify('plain', ['m', n % 3], { n }),
        (n: number) => here.notify('live', [], { n, at: new Date(n) }),
        (n: number) => here.notify('large', [], { n, text: 'x'.repeat(20_000) }),
        (n: number) => here.forward('packed', ['m'], pack({ n })),
        (n: number) => here.forward('packed live', [], pack({ n, map: new Map() })),
        (n: number) => here.notify('moved', [], { n, bytes: new ArrayBuffer(8) }, []),
        (n: number) => void here.request('asked', { n }),
        (n: number) => void here.request('asked live', { n, at: new Date(n) }),
      ]
      for (let n = 0; n < 400; n++) kinds[(n * 5 + (n >> 3)) % kinds.length]?.(n)
      await here.request('last', { n: 400 })
      expect(seen).toEqual(Array.from({ length: 401 }, (_, n) => n))
    })

    it('brings every value as structuredClone would: asked, answered, told and forwarded', async () => {
      const { here, notices } = converse(open(), (_call, body) => body)
      for (const make of Object.values(CLONEABLE)) {
        const expected = structuredClone(make())
        const answer = here.request('echo', make())
        here.notify('told', [], make())
        here.forward('forwarded', [], pack(make()))
        expectClone(await answer, expected)
        await eventually(() => expect(notices).toHaveLength(2))
        for (const { data } of notices.splice(0)) expectClone(data, expected)
      }
    })

    it('brings anything as structuredClone would', async () => {
      const { here, notices } = converse(open(), (_call, body) => body)
      const anything = fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withTypedArray: true,
        withSparseArray: true,
        withNullPrototype: true,
      })
      await fc.assert(
        fc.asyncProperty(fc.array(anything, { maxLength: 6 }), async (values) => {
          const expected = values.map((value) => structuredClone(value))
          for (const value of values) here.notify('told', ['like', 1], value)
          const answers = await Promise.all(values.map((value) => here.request('echo', value)))
          expectClone(answers, expected)
          await here.request('said it all')
          expectClone(
            notices.splice(0).map(({ data }) => data),
            expected,
          )
        }),
        { numRuns: 60 },
      )
    })

    it('sends what a value was when it was told, not what became of it', async () => {
      const { here, notices } = converse(open())
      const plain = { list: [1], inner: { a: 1 } }
      const live = { map: new Map([['k', 1]]) }
      here.notify('plain', [], plain)
      here.notify('live', [], live)
      plain.list.push(2)
      plain.inner.a = 2
      live.map.set('k', 2)
      await eventually(() => expect(notices).toHaveLength(2))
      expect(notices.map(({ data }) => data)).toEqual([{ list: [1], inner: { a: 1 } }, { map: new Map([['k', 1]]) }])
    })

    it('refuses what cannot cross with PAYLOAD_NOT_CLONEABLE, and loses nothing before or after it', async () => {
      const { here, notices } = converse(open(), (_call, body) => body)
      const count = Object.keys(UNCLONEABLE).length
      const asked: Promise<unknown>[] = []
      for (const [index, make] of Object.values(UNCLONEABLE).entries()) {
        here.notify('before', ['meta'], { index })
        asked.push(here.request('echo', { index }))
        expect(() => here.notify('bad', ['meta'], make())).toThrow(error('PAYLOAD_NOT_CLONEABLE', /the far end/))
        await expect(here.request('bad', make())).rejects.toThrow(error('PAYLOAD_NOT_CLONEABLE'))
        here.notify('after', ['meta'], { index })
      }
      expect(await Promise.all(asked)).toEqual(Array.from({ length: count }, (_, index) => ({ index })))
      await here.request('last')
      expect(notices).toEqual(
        Array.from({ length: count }, (_, index) => ['before', 'after'].map((verb) => ({ verb, metas: ['meta'], data: { index } }))).flat(),
      )
      expect(here.pending).toBe(0)
    })

    it('fails a request whose answer cannot cross, and goes on', async () => {
      const { here } = converse(open(), (call) => (call.verb === 'bad' ? { callback: () => 1 } : 'good'))
      await expect(here.request('bad')).rejects.toThrow(error('PAYLOAD_NOT_CLONEABLE'))
      await expect(here.request('good')).resolves.toBe('good')
    })

    it('moves what a request or an answer is told to move', async () => {
      const bytes = new Uint8Array([1, 2, 3])
      const { here } = converse(open(), (_call, body) => {
        const back = new Uint8Array((body as { bytes: Uint8Array }).bytes.map((byte) => byte * 2))
        return new Boxed({ back }, [back.buffer])
      })
      const answer = here.request('double', { bytes }, { transfer: [bytes.buffer] })
      expect(bytes.byteLength).toBe(0)
      expectClone(await answer, { back: new Uint8Array([2, 4, 6]) })
    })

    describe('errors', () => {
      const thrower = (thrown: () => unknown, later: boolean) =>
        converse(
          open(),
          () => {
            if (later) return Promise.reject(thrown())
            throw thrown()
          },
          { plugin: 'far-plugin' },
        )

      for (const later of [false, true]) {
        it(`arrive whole when ${later ? 'a promise rejects' : 'they are thrown'}`, async () => {
          const root = Object.assign(new RangeError('the root'), { code: 'E_ROOT' })
          const { here } = thrower(() => new PlugbayError('CONFIG_INVALID', 'wrong', { cause: root, details: { field: 'port' } }), later)
          const got = (await here.request('fail').catch((e: unknown) => e)) as PlugbayError
          expect(PlugbayError.is(got)).toBe(true)
          expect(got).toMatchObject({
            name: 'PlugbayError',
            code: 'CONFIG_INVALID',
            message: 'wrong',
            details: { field: 'port' },
            plugin: 'far-plugin',
          })
          expect(got.cause).toBeInstanceOf(Error)
          expect(got.cause).toMatchObject({ name: 'RangeError', message: 'the root', code: 'E_ROOT' })
          expect(got.stack).toContain('rpc.test')
        })
      }

      it('keep the plugin they first came from', async () => {
        const { here } = thrower(() => new PlugbayError('PLUGIN_START', 'inner', { plugin: 'origin' }), false)
        await expect(here.request('fail')).rejects.toMatchObject({ plugin: 'origin' })
      })

      it('keep a class name and a code of their own', async () => {
        class QuotaExceeded extends Error {
          override name = 'QuotaExceeded'
          code = 507
        }
        const { here } = thrower(() => new QuotaExceeded('full'), true)
        await expect(here.request('fail')).rejects.toMatchObject({ name: 'QuotaExceeded', code: 507, message: 'full' })
      })

      it.each([['text'], [undefined], [null], [42], [{ message: 'like an error' }], [Symbol('s')], [() => 1]])(
        'are errors though %o was thrown',
        async (thrown) => {
          const { here } = thrower(() => thrown, false)
          await expect(here.request('fail')).rejects.toBeInstanceOf(Error)
          await expect(here.request('fail')).rejects.toHaveProperty('message')
        },
      )
    })

    describe('deadlines and cancellation', () => {
      it('fails a request that is not answered in time, tells who and what, and cancels it there', async () => {
        const calls: Call[] = []
        const { here } = converse(open(), (call) => {
          calls.push(call)
          return new Promise(() => {})
        })
        await expect(here.request('slow', undefined, { timeout: 20 })).rejects.toThrow(error('CALL_TIMEOUT', /The far end.*'slow'.*20 ms/))
        await eventually(() => expect(calls[0]?.signal.aborted).toBe(true))
        expect(here.pending).toBe(0)
      })

      it('lets each request run into its own deadline, however they were started', async () => {
        const { here } = converse(open(), (_call, body) => (body === 'answer' ? 'answered' : new Promise(() => {})))
        await here.request('is there anybody', 'answer')
        const order: string[] = []
        const late = here.request('a', undefined, { timeout: 60 }).catch(() => order.push('late'))
        const early = here.request('b', undefined, { timeout: 20 }).catch(() => order.push('early'))
        const never = here.request('c', 'answer', { timeout: 2_000 })
        await expect(never).resolves.toBe('answered')
        await Promise.all([late, early])
        expect(order).toEqual(['early', 'late'])
      })

      it('drops an answer that comes too late', async () => {
        const held = gate<string>()
        const { here } = converse(open(), (call) => (call.verb === 'slow' ? held.promise : 'next'))
        await expect(here.request('slow', undefined, { timeout: 10 })).rejects.toThrow(error('CALL_TIMEOUT'))
        held.open('too late')
        await expect(here.request('after')).resolves.toBe('next')
      })

      it('cancels at the caller: the request fails, and the far signal aborts with the reason', async () => {
        const calls: Call[] = []
        const { here } = converse(open(), (call) => {
          calls.push(call)
          return new Promise(() => {})
        })
        const abort = new AbortController()
        const asked = here.request('slow', undefined, { signal: abort.signal })
        await eventually(() => expect(calls).toHaveLength(1))
        const signal = calls[0]?.signal
        expect(signal?.aborted).toBe(false)
        abort.abort(new Error('changed my mind'))
        await expect(asked).rejects.toMatchObject({ code: 'CALL_CANCELLED', cause: { message: 'changed my mind' } })
        await eventually(() => expect(signal?.aborted).toBe(true))
        expect(signal?.reason).toMatchObject({ code: 'CALL_CANCELLED', cause: { message: 'changed my mind' } })
      })

      it('does not even ask with a signal that is aborted', async () => {
        const asked = vi.fn()
        const { here } = converse(open(), asked)
        await expect(here.request('x', undefined, { signal: AbortSignal.abort('why') })).rejects.toThrow(error('CALL_CANCELLED'))
        await here.request('y')
        expect(asked).toHaveBeenCalledTimes(1)
      })

      it('forgets a signal once the request is answered', async () => {
        const { here } = converse(open(), () => 'done')
        const abort = new AbortController()
        const removed = vi.spyOn(abort.signal, 'removeEventListener')
        await here.request('x', undefined, { signal: abort.signal })
        expect(removed).toHaveBeenCalledTimes(1)
        abort.abort()
        await expect(here.request('y')).resolves.toBe('done')
      })
    })

    describe('the end', () => {
      it('fails all that is under way at both ends, and tells each party once', async () => {
        const calls: Call[] = []
        const { here, there, ended } = converse(open(), (call) => {
          calls.push(call)
          return new Promise(() => {})
        })
        const asked = Array.from({ length: 5 }, (_, i) => here.request('wait', i).catch((e: unknown) => e))
        await eventually(() => expect(calls).toHaveLength(5))
        const signals = calls.map(({ signal }) => signal)
        here.close(new PlugbayError('PLUGIN_STOPPED', 'over and out'))
        here.close()
        for (const outcome of await Promise.all(asked)) expect(outcome).toMatchObject({ code: 'PLUGIN_STOPPED', message: 'over and out' })
        await eventually(() => expect(signals.every(({ aborted }) => aborted)).toBe(true))
        await eventually(() => expect(there.over).toBe(true))
        expect(ended.here).toEqual([error('PLUGIN_STOPPED')])
        expect(ended.there).toEqual([error('CHANNEL_CLOSED', /The near end/)])
      })

      it('fails what is asked afterwards, and is silent about what is told', async () => {
        const { here, there } = converse(open())
        there.close()
        await eventually(() => expect(here.over).toBe(true))
        await expect(here.request('x')).rejects.toThrow(error('CHANNEL_CLOSED', /The far end/))
        expect(() => here.notify('x', [])).not.toThrow()
        expect(() => here.forward('x', [], pack({ a: 1 }))).not.toThrow()
      })

      it('still brings what was told before it', async () => {
        const { here, notices } = converse(open())
        here.notify('last words', [], { a: 1 })
        here.close()
        await eventually(() => expect(notices).toEqual([{ verb: 'last words', metas: [], data: { a: 1 } }]))
      })

      it('drains: waits for the requests of this end, also those that fail', async () => {
        const held = gate<string>()
        const { here } = converse(open(), () => held.promise)
        await here.drain()
        let drained = 0
        const asked = [here.request('a'), here.request('b').catch(() => 'failed')]
        const draining = [here.drain(), here.drain()].map((promise) => promise.then(() => drained++))
        await Promise.race([...draining, new Promise((resolve) => setImmediate(resolve))])
        expect(drained).toBe(0)
        held.open('answer')
        await Promise.all([...asked, ...draining])
        expect(drained).toBe(2)
      })

      it('drains when the conversation ends instead', async () => {
        const { here } = converse(open(), () => new Promise(() => {}))
        const asked = here.request('a').catch((e: unknown) => e)
        const drained = here.drain()
        here.close()
        await drained
        expect(await asked).toEqual(error('CHANNEL_CLOSED'))
      })
    })
  })
}

describe('batches', () => {
  const openCounted = () => {
    const pair = CHANNELS['a pair within a thread']?.()
    const { channel, batches } = counted(pair[0])
    return { ...converse([channel, pair[1]], (_call, body) => body), batches }
  }

  it('carry what one turn tells in one batch', async () => {
    const { here, batches, notices } = openCounted()
    for (let i = 0; i < 64; i++) here.notify('event', [1, 'topic'], { i })
    await eventually(() => expect(notices).toHaveLength(64))
    expect(batches).toHaveLength(1)
  })

  it('carry also what promises of the same turn tell', async () => {
    const { here, batches, notices } = openCounted()
    for (let i = 0; i < 8; i++) void Promise.resolve().then(() => here.notify('event', [], { i }))
    await eventually(() => expect(notices).toHaveLength(8))
    expect(batches).toHaveLength(1)
  })

  it('are bounded by bytes: large events do not wait for each other', async () => {
    const { here, batches, notices } = openCounted()
    for (let i = 0; i < 16; i++) here.notify('event', [], { text: 'x'.repeat(40_000) })
    expect(batches.length).toBeGreaterThanOrEqual(8)
    await eventually(() => expect(notices).toHaveLength(16))
  })

  it('leave at once with a request that is alone', async () => {
    const { here, batches } = openCounted()
    const answer = here.request('ask', 1)
    expect(batches).toHaveLength(1)
    await answer
  })

  it('stand for themselves: verb, metas and shape may repeat in any way', async () => {
    const { here, notices } = openCounted()
    const frame = fc.record({
      verb: fc.constantFrom('a', 'b'),
      metas: fc.array(fc.constantFrom<string | number | boolean | null>('x', 1, 2, null, true), { maxLength: 3 }),
      data: fc.constantFrom<unknown>(undefined, 1, 'text', null, { a: 1 }, { b: 2 }, [1, 2], new Date(1), { a: { b: 1 } }),
      flush: fc.boolean(),
      // What is forwarded may have a number, often the next.
      number: fc.option(fc.constantFrom<number | undefined>(undefined, 0, 1, 2, 3, 2 ** 40)),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 20 }), async (frames) => {
        for (const { verb, metas, data, flush, number } of frames) {
          if (number !== null) here.forward(verb, metas, pack(data), number)
          else here.notify(verb, metas, data)
          if (flush) here.flush()
        }
        await here.request('said it all')
        const told = notices.splice(0)
        expect(told.map(({ verb, metas, data }) => ({ verb, metas, data }))).toEqual(
          frames.map(({ verb, metas, data }) => ({ verb, metas, data })),
        )
        const numbered = frames.flatMap(({ number }, at) => (typeof number === 'number' ? { number, at } : []))
        expect(numbered.map(({ at }) => told[at]?.number)).toEqual(numbered.map(({ number }) => number))
      }),
      { numRuns: 150 },
    )
  })
})

describe('the time a request has', () => {
  it('begins when it leaves, whatever was written before it in the same batch', () => {
    const { here } = converse(channelPair(), () => undefined)
    // Long after anything else left, a notice and a request leave together.
    for (const end = performance.now() + 60; performance.now() < end; );
    const armed = vi.spyOn(globalThis, 'setTimeout')
    onTestFinished(() => armed.mockRestore())
    here.notify('note', [])
    void here.request('wait', undefined, { timeout: 1_000 })
    expect(armed.mock.lastCall?.[1]).toBeGreaterThan(950)
  })
})
