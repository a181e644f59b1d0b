/** When what was written leaves a thread. */
import { expect, test } from 'vitest'
import { depart, departed } from '#src/sandbox/conversation/departures.js'

test('what waits for more leaves soon, though others send in every turn', async () => {
  let left = 0
  const busy = { urgent: true, leave: departed }
  const turn = async (): Promise<void> => {
    depart(busy, false)
    await new Promise(setImmediate)
  }
  for (let i = 0; i < 5; i++) await turn()
  for (let i = 0; i < 10; i++) depart({ urgent: false, leave: () => void left++ }, false)
  for (let i = 0; i < 20_000 && left < 10; i++) await turn()
  expect(left).toBe(10)
})
