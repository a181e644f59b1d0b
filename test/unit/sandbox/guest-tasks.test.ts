/** What a plugin gives its tasks, as it comes to the kernel. */
import { MessagePort } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { channelPair } from '#src/sandbox/channel.js'
import { AT_ONCE } from '#src/sandbox/conversation/at-once.js'
import { open, type Sealed } from '#src/sandbox/conversation/sealed.js'
import { guestTasks } from '#src/sandbox/guest/guest-tasks.js'
import { Conversation } from '#src/sandbox/rpc.js'

const MANY = Array.from({ length: 5_000 }, (_, i) => ({ i }))

/** The tasks of a plugin, whose kernel says what it was given. */
const plugin = (beyond: boolean) => {
  const [kernelEnd, guestEnd] = channelPair()
  const given: { name: string; input?: unknown; sealed?: Sealed }[] = []
  new Conversation(kernelEnd, { request: (_, body) => given.push(body as never) }, 'the guest')
  const guest = new Conversation(guestEnd, { request: () => undefined }, 'the kernel')
  onTestFinished(() => guest.close())
  return { guest, given, tasks: guestTasks(guest, 'p', ['t'], beyond) }
}

test.each([
  ['in the same process', false, MessagePort],
  ['in another process', true, Uint8Array],
])('comes sealed where it is large, and as it is where it is small: %s', async (_where, beyond, kind) => {
  const { tasks, given } = plugin(beyond)
  await tasks.run('t', { n: 1 })
  await tasks.run('t', MANY)
  expect(given).toMatchObject([{ name: 't', input: { n: 1 } }, { name: 't' }])
  const sealed = given[1]?.sealed as Sealed
  expect(sealed).toBeInstanceOf(kind)
  expect(open(sealed)).toEqual(MANY)
})

test('does not leave where it is more than one may be given, nor when the kernel is gone', async () => {
  const { tasks, given, guest } = plugin(false)
  await expect(tasks.run('t', new Array(800_000).fill(1))).rejects.toMatchObject({
    code: 'PAYLOAD_TOO_LARGE',
    message: expect.stringMatching(/^The input of task 't' is too large: /) as string,
  })
  guest.close()
  await expect(tasks.run('t', MANY)).rejects.toMatchObject({ code: 'CHANNEL_CLOSED' })
  expect(given).toEqual([])
})

test('comes of large ones no more than are passed on at once: the rest waits in the plugin, and small ones do not wait for it', async () => {
  const [kernelEnd, guestEnd] = channelPair()
  const given: Sealed[] = []
  const under: ((answer: unknown) => void)[] = []
  let small = 0
  const kernel = {
    request: (_: unknown, body: unknown) => {
      if (!('sealed' in (body as object))) return ++small
      given.push((body as { sealed: Sealed }).sealed)
      return new Promise((resolve) => under.push(resolve))
    },
  }
  new Conversation(kernelEnd, kernel, 'the guest')
  const guest = new Conversation(guestEnd, { request: () => undefined }, 'the kernel')
  onTestFinished(() => guest.close())
  const tasks = guestTasks(guest, 'p', ['t'], true)
  const most = AT_ONCE['large task']
  const inputs = Array.from({ length: most + 1 }, () => [...MANY])
  const runs = inputs.map((input) => tasks.run('t', input))
  // It waits as it is now.
  inputs.at(-1)?.splice(0)
  expect(await tasks.run('t', 1)).toBe(1)
  expect(under).toHaveLength(most)
  under[0]?.(undefined)
  await runs[0]
  expect(await tasks.run('t', 1)).toBe(2)
  expect(under).toHaveLength(most + 1)
  expect(given.map(open)).toEqual(Array.from({ length: most + 1 }, () => MANY))
  for (const answer of under) answer(undefined)
  await Promise.all(runs)
})
