import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { OpenEvent, Stamp } from '#src/bus/event.js'

describe('an event', () => {
  const event = new OpenEvent('id-1', 'user.login', 'web', '2026-01-02T03:04:05.678Z', { userId: '7' })
  const plain = { id: 'id-1', type: 'user.login', source: 'web', time: '2026-01-02T03:04:05.678Z', data: { userId: '7' } }

  it('has exactly the five CloudEvents attributes of its own', () => {
    expect(Object.keys(event)).toEqual(['id', 'type', 'source', 'time', 'data'])
    expect(Object.assign({}, event)).toStrictEqual(plain)
    expect(event).toEqual(plain)
    expect(JSON.parse(JSON.stringify(event))).toStrictEqual(plain)
    expect(structuredClone(event)).toEqual(plain)
  })

  it('is its own envelope', () => {
    expect(event.open()).toBe(event)
  })
})

describe('a stamp', () => {
  it('never gives an id twice, also past its inner digits', () => {
    const stamp = new Stamp('boot')
    const ids = Array.from({ length: 5_000 }, () => stamp.id())
    expect(new Set(ids).size).toBe(5_000)
    expect(ids[0]).toBe('boot-00')
    expect(ids[35]).toBe('boot-0z')
    // Whatever way the digits are made, they are the counter in base 36.
    expect(ids.map((id) => Number.parseInt(id.slice('boot-'.length), 36))).toEqual(ids.map((_, i) => i))
  })

  it('knows the serial of each of its ids', () => {
    const { ids } = new Stamp('boot')
    fc.assert(fc.property(fc.nat({ max: 2 ** 40 }), (serial) => ids.serialOf(ids.of(serial)) === serial))
  })

  it('has a prefix of its own after a restart', () => {
    const prefixes = Array.from({ length: 100 }, () => new Stamp().id().split('-')[0])
    expect(new Set(prefixes).size).toBe(100)
    for (const prefix of prefixes) expect(prefix).toMatch(/^[0-9a-z]{11}$/)
  })

  it('tells the present time, in ISO 8601 with milliseconds', async () => {
    vi.useFakeTimers({ now: Date.UTC(2026, 0, 2, 3, 4, 5, 678) })
    try {
      const stamp = new Stamp()
      expect(stamp.time()).toBe('2026-01-02T03:04:05.678Z')
      expect(stamp.time()).toBe('2026-01-02T03:04:05.678Z')
      vi.setSystemTime(Date.UTC(2026, 0, 2, 3, 4, 5, 679))
      await Promise.resolve()
      expect(stamp.time()).toBe('2026-01-02T03:04:05.679Z')
      // Also one that never lets anything else run sees the time go on.
      vi.setSystemTime(Date.UTC(2026, 0, 2, 3, 4, 5, 680))
      for (let i = 1; i < 64; i++) stamp.time()
      expect(stamp.time()).toBe('2026-01-02T03:04:05.680Z')
    } finally {
      vi.useRealTimers()
    }
  })
})
