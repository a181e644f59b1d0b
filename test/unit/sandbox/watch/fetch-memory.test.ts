/** What `fetch` does in a process without addresses for a memory of WebAssembly. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { processPages } from '#src/sandbox/watch/taken-pages.js'

const moduleOf = (name: string): string => new URL(`../../../../dist/sandbox/watch/${name}.js`, import.meta.url).href

/** Node takes it beside this thread, and does not say when it has: it shows in what is reserved, in MB. */
const STARVED = `
  import { createServer } from 'node:net'
  import { takeFetchMemory } from '${moduleOf('fetch-memory')}'
  import { processPages } from '${moduleOf('taken-pages')}'
  const answer = ['HTTP/1.1 200 OK', 'Content-Length: 2', 'Connection: close', '', 'ok'].join('\\r\\n')
  const server = createServer((socket) => socket.once('data', () => socket.end(answer))).listen(0, '127.0.0.1')
  await new Promise((listening) => server.once('listening', listening))
  const before = processPages().reserved
  takeFetchMemory()
  const atOnce = Number.parseInt(process.versions.node, 10) < 24
  while (atOnce && processPages().reserved - before < 8_000) await new Promise((turn) => setImmediate(turn))
  const kept = []
  try {
    for (;;) kept.push(new WebAssembly.Memory({ initial: 1 }))
  } catch {}
  console.log(await fetch('http://127.0.0.1:' + server.address().port).then((response) => response.text(), ({ cause }) => cause.message))
  server.close()`

it.runIf(processPages() !== undefined)('it was taken for it before, or a fetch fails alone', { timeout: 60_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', STARVED], { timeout: 20_000 })
  expect(stdout).toMatch(/^(ok|.*Out of memory.*)\n$/)
})
