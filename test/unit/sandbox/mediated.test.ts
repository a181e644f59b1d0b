/** What a plugin brings to the kernel for its files and requests, as it comes there. */
import { expect, onTestFinished, test } from 'vitest'
import { channelPair } from '#src/sandbox/channel.js'
import { AT_ONCE } from '#src/sandbox/conversation/at-once.js'
import { mediatedFetch, mediatedFiles } from '#src/sandbox/guest/mediated.js'
import { Conversation } from '#src/sandbox/rpc.js'
import { eventually } from '../../support/eventually.js'

/** A plugin's end, to a kernel that takes its time: each call ends one of what is under way, the first that came. */
const slow = () => {
  const [kernelEnd, guestEnd] = channelPair()
  const underWay: { body: Record<string, unknown>; end: (answer: unknown) => void }[] = []
  const request = (_: unknown, body: unknown) => new Promise((end) => underWay.push({ body: body as Record<string, unknown>, end }))
  new Conversation(kernelEnd, { request }, 'the guest')
  const guest = new Conversation(guestEnd, { request: () => undefined }, 'the kernel')
  onTestFinished(() => guest.close())
  const end = (answer?: unknown): void => underWay.shift()?.end(answer)
  return { guest, underWay, end }
}

const MEGABYTE = 1_024 * 1_024

test('what is written in one large piece waits for the one before it, and what is small does not', async () => {
  const { guest, underWay, end } = slow()
  const files = mediatedFiles(guest) as unknown as { writeFile(path: string, data: string | Uint8Array): Promise<void> }
  const paths = (): unknown[] => underWay.map(({ body }) => body['path'])
  const writes = [
    files.writeFile('large', new Uint8Array(MEGABYTE)),
    files.writeFile('text', 'x'.repeat(MEGABYTE)),
    files.writeFile('third', new Uint8Array(MEGABYTE)),
    files.writeFile('small', 'x'),
  ]
  await eventually(() => expect(paths()).toEqual(['large', 'small']))
  end()
  await eventually(() => expect(paths()).toEqual(['small', 'text']))
  end()
  end()
  await eventually(() => expect(paths()).toEqual(['third']))
  end()
  await Promise.all(writes)
})

test('what is neither text nor bytes is refused where the mistake is', async () => {
  const { guest, underWay, end } = slow()
  const files = mediatedFiles(guest) as unknown as Record<'writeFile' | 'appendFile', (path: string, data?: unknown) => Promise<void>>
  await expect(files.appendFile('list', ['x'])).rejects.toThrow(/^fs\.appendFile\(\) was given a list to write\. Give a text, or bytes/)
  const empty = files.writeFile('empty')
  await eventually(() => expect(underWay.map(({ body }) => body['path'])).toEqual(['empty']))
  end()
  await empty
})

test('a request that is cancelled says by which reason', async () => {
  const { guest, underWay } = slow()
  const abort = new AbortController()
  const fetched = mediatedFetch(guest)('http://a.test/', { signal: abort.signal })
  await eventually(() => expect(underWay).toHaveLength(1))
  const reason = new Error('never mind')
  abort.abort(reason)
  await expect(fetched).rejects.toMatchObject({ code: 'CALL_CANCELLED', cause: reason })
})

test('so many requests with a large body leave at a time, and those with a small one beside them', async () => {
  const { guest, underWay, end } = slow()
  const fetch = mediatedFetch(guest)
  const most = AT_ONCE['large fetch']
  const post = (size: number) => fetch('http://a.test/', { method: 'POST', body: new Uint8Array(size) })
  const requests = [...Array.from({ length: most + 1 }, () => post(MEGABYTE)), post(1)]
  const sizes = (): number[] => underWay.map(({ body }) => (body['body'] as Uint8Array).length).sort((a, b) => a - b)
  await eventually(() => expect(sizes()).toEqual([1, ...Array.from({ length: most }, () => MEGABYTE)]))
  const answer = { status: 200, statusText: '', headers: [], url: 'http://a.test/', redirected: false, body: null }
  for (let i = 0; i < requests.length - 1; i++) end(answer)
  await eventually(() => expect(underWay).toHaveLength(1))
  end(answer)
  expect((await Promise.all(requests)).map(({ status }) => status)).toEqual(requests.map(() => 200))
})
