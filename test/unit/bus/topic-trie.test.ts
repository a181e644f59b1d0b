import fc from 'fast-check'
import { Qlobber } from 'qlobber'
import { describe, expect, it } from 'vitest'
import { TopicTrie } from '#src/bus/topic-trie.js'
import { matches } from '#src/topic.js'

const word = fc.constantFrom('a', 'b', 'c')
const aTopic = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join('.'))
const aPattern = fc.array(fc.oneof(word, fc.constantFrom('*', '**')), { minLength: 1, maxLength: 5 }).map((words) => words.join('.'))

const aTrie = (...patterns: string[]): TopicTrie<number> => {
  const trie = new TopicTrie<number>()
  patterns.forEach((pattern, i) => {
    trie.add(pattern, i)
  })
  return trie
}

describe('a topic trie', () => {
  it('finds each value once, though a pattern matches in several ways', () => {
    expect(aTrie('**.a.**', '**.**', 'a.**.**.a').match('a.a.a.a')).toEqual([0, 1, 2])
  })

  it('finds values in the order they were added, whatever their patterns', () => {
    expect(aTrie('**', 'a.b', '*.b', 'a.*', 'a.**', '**.b').match('a.b')).toEqual([0, 1, 2, 3, 4, 5])
    expect(aTrie('**.b', 'a.**', 'a.*', '*.b', 'a.b', '**').match('a.b')).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('refuses bad topics and patterns, also when asked again', () => {
    const trie = aTrie('**')
    for (let i = 0; i < 2; i++) {
      expect(() => trie.match('a..b')).toThrow(expect.objectContaining({ code: 'TOPIC_INVALID' }))
      expect(() => trie.match(undefined as never)).toThrow(expect.objectContaining({ code: 'TOPIC_INVALID' }))
      expect(() => trie.add('a.b*', 9)).toThrow(expect.objectContaining({ code: 'PATTERN_INVALID' }))
    }
    expect(trie.size).toBe(1)
  })

  it('holds a value once, and tells whether it changed anything', () => {
    const trie = new TopicTrie<string>()
    expect(trie.add('a', 'v')).toBe(true)
    expect(trie.add('b', 'v')).toBe(false)
    expect(trie.match('b')).toEqual([])
    expect(trie.delete('v')).toBe(true)
    expect(trie.delete('v')).toBe(false)
    expect(trie.has('v')).toBe(false)
    expect(trie.match('a')).toEqual([])
  })

  it('answers with the same array until a change concerns the topic, and never alters one it gave', () => {
    const trie = aTrie('a.*')
    const first = trie.match('a.b')
    expect(trie.match('a.b')).toBe(first)
    trie.add('c.*', 1)
    expect(trie.match('a.b')).toBe(first)
    trie.add('**.b', 2)
    expect(trie.match('a.b')).toEqual([0, 2])
    trie.delete(0)
    expect(trie.match('a.b')).toEqual([2])
    expect(first).toEqual([0])
  })

  it('is not exponential in the wildcards', () => {
    // Backtracking takes some 10^13 steps here: the test would not end.
    const trie = aTrie(Array(15).fill('**.a').join('.'), Array(16).fill('**').join('.'))
    const topic = [...Array(31).fill('a'), 'b'].join('.')
    expect(trie.match(topic)).toEqual([1])
    expect(trie.match(Array(32).fill('a').join('.'))).toEqual([0, 1])
    expect(matches(Array(15).fill('**.a').join('.'), topic)).toBe(false)
  })

  it('remembers a bounded number of topics, and is right about all others too', () => {
    const trie = new TopicTrie<string>({ capacity: 50 })
    trie.add('*.x', 'star')
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 120; i++) expect(trie.match(`t${i}.${i % 2 ? 'x' : 'y'}`)).toEqual(i % 2 ? ['star'] : [])
      expect(trie.remembered).toBe(50)
    }
    trie.add('**', 'all')
    for (let i = 0; i < 120; i++) expect(trie.match(`t${i}.${i % 2 ? 'x' : 'y'}`)).toEqual(i % 2 ? ['star', 'all'] : ['all'])
  })

  it('works without a memory', () => {
    const trie = new TopicTrie<string>({ capacity: 0 })
    trie.add('a.*', 'v')
    for (let i = 0; i < 100; i++) expect(trie.match('a.b')).toEqual(['v'])
    expect(trie.remembered).toBe(0)
  })

  it('is right after changes that concern more topics than it looks at in one go', () => {
    const trie = new TopicTrie<string>()
    const topics = Array.from({ length: 10_000 }, (_, i) => `t${i}.x`)
    trie.add('*.x', 'first')
    for (const topic of topics) trie.match(topic)
    expect(trie.remembered).toBe(10_000)
    trie.add('**', 'all')
    trie.add('t7.*', 'seven')
    trie.delete('first')
    expect(trie.match('t7.x')).toEqual(['all', 'seven'])
    expect(trie.match('t8.x')).toEqual(['all'])
    // More broad changes than are written down: those that slept through them are found anew.
    for (let i = 0; i < 200; i++) {
      trie.add('**', `v${i}`)
      if (i >= 3) trie.delete(`v${i - 3}`)
    }
    trie.add('t9.*', 'nine')
    expect(trie.match('t9.x')).toEqual(['all', 'v197', 'v198', 'v199', 'nine'])
    expect(trie.match('t7.x')).toEqual(['all', 'seven', 'v197', 'v198', 'v199'])
    for (const topic of topics.slice(10)) expect(trie.match(topic)).toEqual(['all', 'v197', 'v198', 'v199'])
  })

  it('forgets the nodes of patterns that are gone: what stays is found, what went is not', () => {
    const trie = aTrie('a.b.c', 'a.b', 'a.**.c', 'a.*')
    trie.delete(0)
    expect(trie.match('a.b.c')).toEqual([2])
    trie.delete(2)
    expect(trie.match('a.b.c')).toEqual([])
    expect(trie.match('a.b')).toEqual([1, 3])
    trie.delete(1)
    trie.delete(3)
    expect(trie.size).toBe(0)
    trie.add('a.b.c', 4)
    expect(trie.match('a.b.c')).toEqual([4])
  })

  it('finds what the reference and qlobber find, through any sequence of changes', () => {
    const step = fc.oneof(
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('add' as const), pattern: aPattern }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), which: fc.nat(40) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('match' as const), topic: aTopic }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 3, 1_000), (steps, capacity) => {
        const trie = new TopicTrie<number>({ capacity })
        const oracle = new Qlobber({ wildcard_one: '*', wildcard_some: '**', max_wildcard_somes: 9 })
        const model: { pattern: string; value: number }[] = []
        let next = 0
        for (const step of steps) {
          if (step.kind === 'add') {
            const entry = { pattern: step.pattern, value: next++ }
            model.push(entry)
            trie.add(entry.pattern, entry.value)
            oracle.add(entry.pattern, entry.value)
          } else if (step.kind === 'delete') {
            const [gone] = model.splice(step.which % Math.max(model.length, 1), 1)
            if (gone === undefined) continue
            expect(trie.delete(gone.value)).toBe(true)
            oracle.remove(gone.pattern, gone.value)
          } else {
            const found = trie.match(step.topic)
            expect(found).toEqual(model.filter(({ pattern }) => matches(pattern, step.topic)).map(({ value }) => value))
            expect(new Set(found)).toEqual(new Set(oracle.match(step.topic)))
          }
        }
        expect(trie.size).toBe(model.length)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('a topic trie with very much in it', () => {
  const found = (patterns: ReadonlyMap<number, string>, topic: string): number[] =>
    [...patterns].filter(([, pattern]) => matches(pattern, topic)).map(([value]) => value)

  it('is right about topics with hundreds of values, while these come and go', () => {
    const trie = new TopicTrie<number>()
    const patterns = new Map<number, string>()
    const topics = ['a.b', 'a.c', 'b.b']
    for (let value = 0; value < 400; value++) {
      const pattern = ['**', 'a.*', '*.b', 'a.b'][value % 5] ?? 'c'
      trie.add(pattern, value)
      patterns.set(value, pattern)
      if (value % 3 === 0) {
        trie.delete(value >> 1)
        patterns.delete(value >> 1)
      }
      for (const topic of topics) expect(trie.match(topic)).toEqual(found(patterns, topic))
    }
    for (const value of [...patterns.keys()]) {
      trie.delete(value)
      patterns.delete(value)
      if (value % 7 === 0) for (const topic of topics) expect(trie.match(topic)).toEqual(found(patterns, topic))
    }
    expect(topics.map((topic) => trie.match(topic))).toEqual([[], [], []])
  })

  it('is right after so many changes in one turn that not all are applied to what it remembers', async () => {
    const trie = new TopicTrie<number>()
    const patterns = new Map<number, string>()
    const topics = Array.from({ length: 1_000 }, (_, i) => `t.${i}`)
    for (let turn = 0; turn < 2; turn++) {
      for (const topic of topics) trie.match(topic)
      for (let value = 0; value < 40; value++) {
        const pattern = value % 2 === 0 ? 't.*' : `**.${value}.**`
        trie.add(pattern, value + 40 * turn)
        patterns.set(value + 40 * turn, pattern)
      }
      await Promise.resolve()
      for (const topic of topics) expect(trie.match(topic)).toEqual(found(patterns, topic))
    }
  })

  it('asks who makes the search for a new topic long, and looks for what is left', () => {
    const ways = (i: number): string => 'a.b.c.d.e.f.g.h.i.j.k.l'.replaceAll(/[a-l]/g, (s) => ((i >> (s.charCodeAt(0) - 97)) & 1 ? '*' : s))
    const asked: { topic: string; values: readonly number[]; ways: number }[] = []
    const trie: TopicTrie<number> = new TopicTrie<number>({
      onWide: (topic, values, at) => {
        asked.push({ topic, values, ways: at })
        for (const value of trie.values()) if (value >= 0) trie.delete(value)
      },
    })
    for (let i = 0; i < 4_096; i++) trie.add(`${ways(i)}.z`, i)
    trie.add('**', -1)
    expect(trie.match('a.b.c')).toEqual([-1])
    expect(asked).toEqual([])
    expect(trie.match('a.b.c.d.e.f.g.h.i.j.k.l.m')).toEqual([-1])
    expect(asked).toHaveLength(1)
    expect(asked[0]).toMatchObject({ topic: 'a.b.c.d.e.f.g.h.i.j.k.l.m' })
    expect(asked[0]?.ways).toBeGreaterThan(100)
    expect(asked[0]?.values.length).toBeGreaterThan(100)
    expect(asked[0]?.values.every((value) => value >= -1 && value < 4_096)).toBe(true)
  })

  it('searches to the end where nobody is to blame', () => {
    let asked = 0
    const trie = new TopicTrie<number>({ onWide: () => asked++ })
    for (let i = 0; i < 4_096; i++) {
      const pattern = 'a.b.c.d.e.f.g.h.i.j.k.l'.replaceAll(/[a-l]/g, (s) => ((i >> (s.charCodeAt(0) - 97)) & 1 ? '*' : s))
      trie.add(pattern, i)
    }
    expect(trie.match('a.b.c.d.e.f.g.h.i.j.k.l')).toHaveLength(4_096)
    expect(asked).toBeGreaterThan(0)
    const before = asked
    expect(trie.match('a.b.c.d.e.f.g.h.i.j.k.l')).toHaveLength(4_096)
    expect(asked).toBe(before)
  })
})
