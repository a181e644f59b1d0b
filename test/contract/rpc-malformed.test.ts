import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PlugbayError } from '#src/errors.js'
import { type Batch, channelPair } from '#src/sandbox/channel.js'
import type { Party } from '#src/sandbox/conversation/party.js'
import { Conversation } from '#src/sandbox/rpc.js'
import { eventually } from '../support/eventually.js'

const REQUEST = 1
const REPLY = 2
const FAILURE = 3
const NOTICE = 4
const CANCEL = 5

interface Listener {
  /** Hands a batch to the conversation as its channel would; what it throws comes out here. */
  receive: (batch: unknown) => void
  conversation: Conversation
  ended: PlugbayError[]
}

const listener = (party: Partial<Party> = {}): Listener => {
  const ended: PlugbayError[] = []
  let receive: (batch: Batch) => void = () => {}
  const conversation = new Conversation(
    { send: () => {}, listen: (received) => void (receive = received), close: () => {} },
    { request: () => undefined, notice: (_verb, _metas, body) => void body.open(), ended: (reason) => void ended.push(reason), ...party },
    "plugin 'far'",
  )
  return { receive: (batch) => receive(batch as Batch), conversation, ended }
}

const SAME_VERB = 1 << 3
const SAME_SHAPE = 1 << 4
const SAME_COUNT = 1 << 5
const metas = (count: number): number => count << 7

const MALFORMED: Record<string, unknown> = {
  'an unknown kind': [7, 0, 'verb', '0', 1],
  'no kind': [undefined, 0, 'verb', '0', 1],
  'a kind that is a text': ['notice', 'verb', '0', 1],
  'a frame cut short': [NOTICE, 'verb', '{"a":0}', 3, 1],
  'a frame that is nothing but its head': [REQUEST],
  'an array longer than its batch': [REQUEST, 1, 'verb', '[0]', 1_000_000],
  'an array of a negative length': [REQUEST, 1, 'verb', '[0]', -5],
  'an array of a fractional length': [NOTICE, 'verb', '[0]', 0.5, 1],
  'an array within arrays that is longer than its batch': [REQUEST, 1, 'verb', '[[0]]', 2, 1, 1_000_000],
  'a shape that is no JSON': [REQUEST, 1, 'verb', '{', 1, 1],
  'a shape that is code': [REQUEST, 1, 'verb', 'process.exit()', 1, 1],
  'a shape of other things': [REQUEST, 1, 'verb', '{"a":"text"}', 1, 1],
  'a shape that is no text': [REQUEST, 1, 'verb', { a: 0 }, 1, 1],
  'a negative count of leaves': [NOTICE, 'verb', '{"a":0}', -6, 1],
  'a count of leaves that leads back to the start': [NOTICE, 'verb', '{"a":0}', -5],
  'a count of leaves that is no number': [NOTICE, 'verb', '{"a":0}', 'x', 1],
  'a fractional count of leaves': [NOTICE, 'verb', '{"a":0}', 0.5, 1],
  'one meta too many': [NOTICE | metas(4), 'verb', 'a', 'b', '0', 1],
  'far too many metas': [NOTICE | metas(1_000_000), 'verb', '0', 1],
  'a negative count of metas': [NOTICE | metas(-3), 'verb', '0', 1],
  'metas of its own beside a verb as before': [REQUEST | SAME_VERB | metas(3), 1],
  'an array of what has no leaf': [REQUEST, 1, 'verb', '[{}]', 1, 1_000],
  'arrays of arrays of what has no leaf': [REQUEST, 1, 'verb', '[[{"a":{}}]]', 3, 2, 1_000, 1_000],
  'arrays whose elements take more leaves than there are': [REQUEST, 1, 'verb', '[{"a":0,"b":0}]', 4, 3, 1, 2, 3],
  'fewer leaves than its shape takes': [REQUEST, 1, 'verb', '{"a":0,"b":0}', 1, 1],
  'more leaves than its shape takes': [REQUEST, 1, 'verb', '{"a":0}', 2, 1, 2],
  'a shape that is far too long': [REQUEST, 1, 'verb', `{${Array.from({ length: 1_000 }, (_, i) => `"k${i}":{}`).join()}}`, 0],
  'a verb that is no text': [REQUEST, 1, { verb: 1 }, '0', 1],
  'a failure without an error': [FAILURE, 1, '', '0', null],
  'a failure that is a text': [FAILURE, 1, '', '0', 'boom'],
  'a cancel without a reason': [CANCEL, 1, '', '0', undefined],
  'a batch that is null': null,
  'a batch that is a text': 'hello',
  'a batch that is a number': 42,
  'a batch that is an object': { length: 3 },
}

describe('a malformed batch', () => {
  for (const [name, batch] of Object.entries(MALFORMED)) {
    it(`ends the conversation with PROTOCOL: ${name}`, async () => {
      const { receive, conversation, ended } = listener()
      const asked = conversation.request('waiting')
      receive(batch)
      await expect(asked).rejects.toMatchObject({ code: 'PROTOCOL', message: expect.stringContaining("Plugin 'far'") })
      expect(conversation.over).toBe(true)
      expect(ended).toHaveLength(1)
      expect(ended[0]?.code).toBe('PROTOCOL')
    })
  }

  it('is one with a notice that its reader refuses', () => {
    const { receive, ended } = listener({
      notice: () => {
        throw new PlugbayError('PATTERN_INVALID', 'the pattern is none')
      },
    })
    receive([NOTICE, 'subscribe', '0', 1])
    expect(ended).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('the pattern is none') }])
  })

  it('is not one that its reader fails at by a mistake of its own: the other end is not blamed', async () => {
    const mistake = new TypeError('not a function')
    const { receive, conversation, ended } = listener({
      notice: () => {
        throw mistake
      },
    })
    const asked = conversation.request('waiting')
    receive([NOTICE, 'handled', '0', 1, NOTICE, 'later', '0', 1])
    await expect(asked).rejects.toMatchObject({ code: 'INTERNAL', cause: mistake })
    expect(ended).toMatchObject([
      { code: 'INTERNAL', message: expect.stringContaining("failed at 'handled' from plugin 'far': not a function.") },
    ])
  })

  it('that is empty says nothing, and is no fault', () => {
    const { receive, conversation } = listener()
    receive([])
    expect(conversation.over).toBe(false)
  })

  it('leaves the frames before it served', () => {
    const seen: unknown[] = []
    const { receive, conversation } = listener({ notice: (_verb, _metas, body) => void seen.push(body.open()) })
    receive([NOTICE, 'a', '0', 1, NOTICE | SAME_VERB | SAME_SHAPE, 2, 7])
    expect(seen).toEqual([1, 2])
    expect(conversation.over).toBe(true)
  })

  it('is not waited for: what answers a request that was given up is dropped, once; a second answer is one to nothing', async () => {
    const { receive, conversation, ended } = listener()
    const given = [REPLY, FAILURE].map(async (kind, at) => {
      const giveUp = new AbortController()
      const asked = conversation.request('x', undefined, { signal: giveUp.signal })
      giveUp.abort()
      await expect(asked).rejects.toMatchObject({ code: 'CALL_CANCELLED' })
      return () => receive([kind, at + 1, '', '0', kind === REPLY ? 1 : 'no error at all'])
    })
    const answers = await Promise.all(given)
    for (const answer of answers) answer()
    expect(conversation.over).toBe(false)
    answers[0]?.()
    expect(ended).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('it answers what nobody asked') }])
  })

  it('may cancel a request that is answered meanwhile, and none that it never made', () => {
    const { receive, conversation, ended } = listener()
    const cancel = (id: number): void => receive([CANCEL, id, '', '{"name":0,"message":0}', 2, 'Error', 'x'])
    receive([REQUEST, 1, 'verb', '0', 1])
    cancel(1)
    expect(conversation.over).toBe(false)
    cancel(1)
    expect(ended).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('it cancels what it never asked for') }])
  })

  it.each([
    ['a reply', [REPLY, 99, '', '0', 1]],
    ['a failure, whose error is not looked at', [FAILURE, 98, '', '0', 'none']],
    ['a cancellation, whose reason is not looked at', [CANCEL, 97, '', '0', 'none']],
  ])('is %s to nothing', (_, batch) => {
    const { receive, ended } = listener()
    receive(batch)
    expect(ended).toMatchObject([{ code: 'PROTOCOL', message: expect.stringMatching(/nobody asked|never asked/) as string }])
  })

  it('is one of more frames than a writer puts in one: others have their turn between two batches', () => {
    const seen: unknown[] = []
    const { receive, conversation, ended } = listener({ notice: (_verb, _metas, body) => void seen.push(body.open()) })
    const frames = (count: number): unknown[] => Array.from({ length: count }, (_, at) => [NOTICE, 'x', '0', at]).flat()
    receive(frames(256))
    expect([seen.length, conversation.over]).toEqual([256, false])
    receive(frames(257))
    expect(ended).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('more than 256 frames') }])
  })

  const item = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom<unknown>(
        ...[1, 2, 3, 4, 5].flatMap((kind) => [
          kind,
          kind | SAME_VERB,
          kind | SAME_VERB | SAME_SHAPE | SAME_COUNT,
          kind | SAME_SHAPE,
          kind | 0xff8,
        ]),
        0,
        undefined,
        'verb',
        '0',
        '[0]',
        '{"a":0}',
        '[0,0]',
        '{"a":[0]}',
        2,
        3,
      ),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom<unknown>(
        -1,
        -2,
        -7,
        0.5,
        1e9,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        '',
        '{',
        '[[[[0]]]]',
        null,
        true,
        10n,
      ),
    },
    { weight: 1, arbitrary: fc.anything() },
  )

  it('never throws out of the listener, never hangs, and leaves a conversation that is open or ended by PROTOCOL', {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 40 }), async (batch) => {
        const { receive, conversation, ended } = listener({ request: (_call, body) => body, unbox: (_metas, body) => body })
        const asked = [1, 2, 3].map((i) =>
          conversation.request('waiting', i).then(
            () => 'answered',
            (error: unknown) => (error instanceof Error ? 'failed' : 'odd'),
          ),
        )
        expect(() => receive(batch)).not.toThrow()
        if (conversation.over) expect(ended[0]?.code).toBe('PROTOCOL')
        conversation.close()
        for (const outcome of await Promise.all(asked)) expect(outcome).not.toBe('odd')
      }),
      { numRuns: 2_000 },
    )
  })

  it('closes the channel, so that the other end knows', async () => {
    const [here, there] = channelPair()
    const conversation = new Conversation(here, { request: () => undefined }, "plugin 'far'")
    let closed = 0
    there.listen(
      () => {},
      () => {
        closed++
      },
    )
    there.send([9, 9, 9])
    await eventually(() => expect(closed).toBe(1))
    expect(conversation.over).toBe(true)
  })
})

describe('a party that misbehaves', () => {
  it('fails its own reply alone when it cannot unbox', async () => {
    const { receive, conversation } = listener({
      unbox: () => {
        throw new RangeError('not mine')
      },
    })
    const asked = conversation.request('x')
    receive([REPLY | metas(1), 1, '', 'boxed', '0', 1])
    await expect(asked).rejects.toMatchObject({ message: expect.stringContaining('not mine') })
  })
})

describe('what throws while it is read for sending', () => {
  const hostile = () => ({
    a: 1,
    get b(): never {
      throw new RangeError('not today')
    },
  })

  it('is refused with its own error, and nothing before or after it is lost', async () => {
    const [near, far] = channelPair()
    const seen: unknown[] = []
    const there = new Conversation(
      far,
      { request: (_call, body) => body, notice: (verb, _metas, body) => void seen.push([verb, body.open()]) },
      'the near end',
    )
    const here = new Conversation(near, { request: () => undefined }, 'the far end')
    here.notify('before', [1], { a: 1 })
    expect(() => here.notify('bad', [2, 3], hostile())).toThrow('not today')
    await expect(here.request('bad', hostile())).rejects.toThrow('not today')
    here.notify('after', [1], { a: 2 })
    await expect(here.request('last', { a: 3 })).resolves.toEqual({ a: 3 })
    expect(seen).toEqual([
      ['before', { a: 1 }],
      ['after', { a: 2 }],
    ])
    expect(there.over).toBe(false)
    expect(here.pending).toBe(0)
  })

  it('may tell something itself, such as a line of a log: both arrive', async () => {
    const [near, far] = channelPair()
    const seen: unknown[] = []
    const there = new Conversation(
      far,
      { request: (_call, body) => body, notice: (verb, _metas, body) => void seen.push([verb, body.open()]) },
      'the near end',
    )
    const here = new Conversation(near, { request: () => undefined }, 'the far end')
    const talkative = {
      first: 1,
      get total() {
        here.notify('log', ['info'], { line: 'computing' })
        return 2
      },
      last: 3,
    }
    here.notify('event', ['topic'], talkative)
    here.notify('event', ['topic'], { first: 4, total: 5, last: 6 })
    await here.request('said it all')
    expect(seen).toContainEqual(['log', { line: 'computing' }])
    expect(seen.filter((entry) => (entry as string[])[0] === 'event')).toEqual([
      ['event', { first: 1, total: 2, last: 3 }],
      ['event', { first: 4, total: 5, last: 6 }],
    ])
    expect(there.over).toBe(false)
  })
})
