/**
 * How much the kernel holds of what it read for a plugin: told over a real line, by a guest that says when it has taken an answer, or does
 * not.
 */
import { truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { AT_ONCE } from '#src/sandbox/conversation/at-once.js'
import { takenOf } from '#src/sandbox/conversation/held-answer.js'
import { eventually } from '../support/eventually.js'
import { gatewayLine } from '../support/gateway-line.js'
import { emptyFolder } from '../support/plugin-folder.js'

const MIB = 1_024 * 1_024

/** A guest that reads, and takes an answer when the test says so. */
const reader = () => {
  const folder = emptyFolder()
  /** The sizes of the answers that have come, and what tells the kernel of each. */
  const came: number[] = []
  const untaken: (readonly unknown[])[] = []
  const come = (metas: readonly unknown[], body: unknown): unknown => {
    const held = takenOf(metas as never)
    if (held !== undefined) untaken.push(held.taken)
    return body
  }
  const line = gatewayLine([{ resource: 'net:127.0.0.1', actions: ['connect'] }], {}, { unbox: come, dropped: come })
  const ask = async (verb: string, asks: object): Promise<void> => {
    const answer = (await line.guest.request(verb, asks)) as Uint8Array | { body: Uint8Array }
    came.push(('body' in answer ? answer.body : answer).length)
  }
  const make = (name: string, size: number): string => {
    const path = join(folder, name)
    writeFileSync(path, '')
    truncateSync(path, size)
    return path
  }
  const read = (path: string): Promise<void> => ask('file', { act: 'readFile', path })
  const fetch = (url: string): Promise<void> => ask('fetch', { url, method: 'GET', headers: [], redirect: 'follow', body: null })
  const take = (): void => {
    const taken = untaken.shift()
    if (taken !== undefined) line.guest.notify('taken', taken as never)
  }
  return { ...line, came, untaken, make, read, fetch, take }
}

test('files are read as far as there is room, and further when the plugin has taken what came', async () => {
  const { came, make, read, take } = reader()
  const file = make('file', 3 * MIB)
  const reads = Array.from({ length: 4 }, () => read(file))
  await eventually(() => expect(came).toHaveLength(2))
  // What was asked for later and is small has come: the others would have, too.
  await read(make('small', 1_000))
  expect(came).toEqual([3 * MIB, 3 * MIB, 1_000])
  take()
  await eventually(() => expect(came).toHaveLength(4))
  take()
  await Promise.all(reads)
  expect(came).toHaveLength(5)
})

test('a file that is larger than the room is read when nothing else is held, and another plugin is answered meanwhile', async () => {
  const one = reader()
  const other = reader()
  const large = one.make('large', 20 * MIB)
  const reads = [one.read(large), one.read(large)]
  await eventually(() => expect(one.came).toHaveLength(1))
  await other.read(other.make('file', MIB))
  expect([one.came, other.came]).toEqual([[20 * MIB], [MIB]])
  one.take()
  await Promise.all(reads)
  expect(one.came).toHaveLength(2)
})

test('a file that is gone, or may not be read, holds nothing', async () => {
  const { came, make, read } = reader()
  const huge = make('huge', 65 * MIB)
  for (let n = 0; n < 3; n++) await expect(read(huge)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  await read(make('file', 8 * MIB))
  expect(came).toEqual([8 * MIB])
})

test('what waits for room fails when the plugin is gone', async () => {
  const { guest, came, make, read } = reader()
  const large = make('large', 9 * MIB)
  // Whichever of them comes first.
  const reads = Promise.allSettled([read(large), read(large)])
  await eventually(() => expect(came).toHaveLength(1))
  guest.close()
  expect((await reads).filter(({ status }) => status === 'rejected')).toMatchObject([{ reason: { code: 'CHANNEL_CLOSED' } }])
})

test('the bodies of answers come as far as there is room, all of them in the end', async () => {
  const server = createServer((_, response) => response.end(Buffer.alloc(15 * MIB)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { came, untaken, fetch, take } = reader()
  const { port } = server.address() as AddressInfo
  const fetches = Array.from({ length: 6 }, () => fetch(`http://127.0.0.1:${port}/`))
  for (const _ of fetches) {
    await eventually(() => expect(untaken).not.toEqual([]))
    expect(untaken.length).toBeLessThanOrEqual(4)
    take()
  }
  await Promise.all(fetches)
  expect(came).toEqual(Array.from({ length: 6 }, () => 15 * MIB))
})

test('a guest that brings a second large piece while the first is written is refused', async () => {
  const { guest, make } = reader()
  const write = (name: string) =>
    guest.request('file', { act: 'writeFile', path: make(name, 0), data: new Uint8Array(2 * MIB) }).catch((error: unknown) => error)
  const outcomes = await Promise.all([write('a'), write('b'), guest.request('file', { act: 'writeFile', path: make('c', 0), data: 'x' })])
  expect(AT_ONCE['large file']).toBe(1)
  expect(outcomes).toEqual([
    undefined,
    expect.objectContaining({ code: 'PLUGIN_LIMIT', message: expect.stringContaining('large file at once') as string }),
    undefined,
  ])
})

test('a guest that brings more large inputs of tasks than are passed on at once is refused, sealed or not', async () => {
  const { guest, tasks } = reader()
  const most = AT_ONCE['large task']
  const inputs = [{ sealed: new Uint8Array(MIB) }, { input: 'x'.repeat(MIB) }]
  const outcomes = Array.from({ length: most + 2 }, (_, i) =>
    guest.request('task', { name: 't', ...inputs[i % 2] }).catch((error: unknown) => error),
  )
  const small = guest.request('task', { name: 't', input: 1 })
  const refused = expect.objectContaining({ code: 'PLUGIN_LIMIT', message: expect.stringContaining('large task at once') as string })
  expect(await Promise.all(outcomes.slice(most))).toEqual([refused, refused])
  await eventually(() => expect(tasks).toHaveLength(most + 1))
  for (const end of tasks) end()
  await Promise.all([...outcomes.slice(0, most), small])
})

test('telling that an answer was taken which there is not is counted', async () => {
  const { guest, breaches } = reader()
  for (let i = 0; i < 10_000; i++) guest.notify('taken', [i % 2 === 0 ? 'file' : 'toString', i])
  await eventually(() => expect(breaches[0]).toMatchObject({ limit: 'requests' }))
})
