/** Who may act now, and who waits. */
import { describe, expect, test } from 'vitest'
import { limiter } from '#src/limiter.js'

/** An act that goes on until it is told to end. */
const held = () => {
  let end = (): void => {}
  const ended = new Promise<void>((resolve) => (end = resolve))
  const state = { began: false }
  const act = (): Promise<void> => {
    state.began = true
    return ended
  }
  return { state, end, act }
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

describe('a limiter', () => {
  test('lets so many act at a time, the rest in the order they came', async () => {
    const limit = limiter(2)
    const acts = Array.from({ length: 4 }, held)
    const all = acts.map(({ act }) => limit(act))
    const began = (): boolean[] => acts.map(({ state }) => state.began)
    await turns()
    expect(began()).toEqual([true, true, false, false])
    acts[1]?.end()
    await turns()
    expect(began()).toEqual([true, true, true, false])
    for (const { end } of acts) end()
    await Promise.all(all)
    expect(began()).toEqual([true, true, true, true])
  })

  test('gives a place back when the act fails', async () => {
    const limit = limiter(1)
    await expect(limit(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await expect(limit(() => Promise.resolve('next'))).resolves.toBe('next')
  })

  test('keeps nobody waiting who is cancelled, and no place for him', async () => {
    const limit = limiter(1)
    const [first, third] = [held(), held()]
    const stop = new AbortController()
    const running = limit(first.act)
    const cancelled = limit(() => Promise.reject(stop.signal.reason as Error), stop.signal)
    const after = limit(third.act)
    stop.abort(new Error('enough'))
    await expect(cancelled).rejects.toThrow('enough')
    expect(third.state.began).toBe(false)
    first.end()
    await running
    third.end()
    await after
    expect(third.state.began).toBe(true)
    await expect(limit(() => Promise.resolve('free'))).resolves.toBe('free')
  })
})
