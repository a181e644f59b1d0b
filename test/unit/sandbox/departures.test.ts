/** When what was written leaves a thread, by a clock that goes on by a tenth of a millisecond with each turn. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { depart, departed } from '#src/sandbox/departures.js'

test('what waits for more leaves soon, though others send in every turn', async () => {
  let time = 1_000
  const clock = vi.spyOn(process, 'hrtime').mockImplementation(() => [0, time * 1e6])
  onTestFinished(() => clock.mockRestore())
  let left = 0
  const busy = { urgent: true, leave: departed }
  const turns = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) {
      time += 0.1
      depart(busy, false)
      await new Promise(setImmediate)
    }
  }
  await turns(5)
  for (let i = 0; i < 5; i++) depart({ urgent: false, leave: () => void left++ }, false)
  await turns(5)
  expect(left).toBe(0)
  await turns(20)
  expect(left).toBe(5)
})
