/** The example server, as whoever types `npm start` uses it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { root } from '../support/command.js'
import { eventually } from '../support/eventually.js'

const children: ChildProcess[] = []
const dataDir = join(root, 'data', `test-${process.pid}`)
const killAll = (): void => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
}
afterAll(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5 }))

/** Any free port; a folder of its own for data, so that a server a developer runs meanwhile is not disturbed. */
const start = async (env: NodeJS.ProcessEnv = {}) => {
  const started = spawn(process.execPath, [join(root, 'examples/server/main.js')], {
    env: { ...process.env, PORT: '0', DATA_DIR: dataDir, NO_COLOR: '1', ...env },
  })
  children.push(started)
  const output = { stdout: '', stderr: '' }
  started.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  started.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const exited = new Promise<number | null>((resolve) => started.once('close', resolve))
  return { started, output, exited }
}

const running = async () => {
  const server = await start()
  // It starts seven threads, and others may use the machine too.
  const url = await vi.waitFor(() => /Listening on (\S+)/.exec(server.output.stdout)?.[1] ?? expect.fail(server.output.stderr), {
    timeout: 60_000,
  })
  const ask = async (path: string, init?: RequestInit) => {
    const response = await fetch(url + path, init)
    // biome-ignore lint/suspicious/noExplicitAny: whatever the server answers
    return { status: response.status, body: (await response.json()) as any }
  }
  const post = (path: string, body: unknown) => ask(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })
  return { ...server, url, ask, post }
}

describe('while it runs', () => {
  let server: Awaited<ReturnType<typeof running>>
  beforeAll(async () => void (server = await running()), 60_000)
  afterAll(killAll)

  test('a login leads to a welcome in the outbox, and the plugins can be looked at', async () => {
    const { output, ask, post } = server
    expect(output.stdout).toMatch(/^plugbay 7 plugins running/)
    const id = `u${Date.now()}`
    const user = await post('/users', { id, name: 'Ada', email: `${id}@example.org` })
    expect(user).toMatchObject({ status: 201, body: { id, name: 'Ada' } })
    expect(await ask(`/users/${id}`)).toEqual({ status: 200, body: user.body })
    expect((await ask('/users')).body).toContainEqual(user.body)
    expect(await post('/login', { userId: id })).toEqual({ status: 202, body: { userId: id } })
    await eventually(async () =>
      expect((await ask('/outbox')).body).toContainEqual(expect.objectContaining({ userId: id, text: `Welcome, ${id}!` })),
    )
    const { body: plugins } = await ask('/plugins')
    expect(plugins).toHaveLength(7)
    expect(plugins[0]).toMatchObject({ name: 'audit-trail', state: 'running', generation: 1, isolation: 'thread' })
  })

  test('a request that cannot be answered is told why', async () => {
    const { ask, post } = server
    const told = async (answer: ReturnType<typeof ask>) => {
      const { status, body } = await answer
      return [status, body.error.message]
    }
    expect(await told(ask('/nothing'))).toEqual([404, 'There is nothing at /nothing. GET / lists what there is.'])
    expect(await told(ask('/users', { method: 'DELETE' }))).toEqual([405, '/users does not take DELETE.'])
    expect(await told(ask('/users/nobody'))).toEqual([404, 'There is no user nobody.'])
    expect(await told(ask('/users/%zz'))).toEqual([400, expect.stringContaining('%zz')])
    expect(await told(post('/login', { userId: 'nobody' }))).toEqual([404, 'There is no user nobody.'])
    expect(await told(post('/login', {}))).toEqual([400, expect.stringContaining('userId')])
    expect(await told(post('/login', 'nonsense'))).toEqual([400, expect.stringContaining('not JSON')])
    expect(await told(post('/login', 'null'))).toEqual([400, expect.stringContaining('JSON object')])
    expect(await told(post('/users', 'x'.repeat(70_000)))).toEqual([413, expect.stringContaining('65536')])
    expect(await told(post('/users', { name: '', email: 'a@b' }))).toEqual([400, expect.stringContaining('name')])
  })
})

/** A request that the server has begun to read: what is left of it can be sent later. */
const begin = async (url: string) => {
  const outgoing = request(url, { method: 'POST', headers: { 'content-length': 2, expect: '100-continue' } })
  const answered = new Promise<number | undefined>((resolve) => {
    outgoing.once('response', (response) => resolve(response.resume().statusCode))
    outgoing.once('error', () => resolve(undefined))
  })
  outgoing.flushHeaders()
  await new Promise((resolve) => outgoing.once('continue', resolve))
  return { send: (text: string) => outgoing.end(text), answered }
}

describe('it ends', { timeout: 60_000 }, () => {
  afterEach(killAll)

  test.each(['SIGINT', 'SIGTERM'] as const)('by itself after %s, having finished what was under way', async (signal) => {
    const { started, output, exited, url } = await running()
    const { send, answered } = await begin(`${url}/login`)
    started.kill(signal)
    await eventually(() => expect(output.stdout).toContain(`${signal}: finishing what is under way`))
    send('{}')
    expect(await answered).toBe(400)
    expect(await exited).toBe(0)
    expect(output.stdout).toMatch(/Stopped in \d+ ms\.\n$/)
    expect(output.stderr).toBe('')
  })

  test('at once after a second signal', async () => {
    const { started, output, exited, url } = await running()
    const { answered } = await begin(`${url}/login`)
    started.kill('SIGINT')
    await eventually(() => expect(output.stdout).toContain('SIGINT: finishing'))
    started.kill('SIGINT')
    expect(await exited).toBe(1)
    expect(await answered).toBeUndefined()
  })

  test('before it boots anything when the port is taken, and says what to do', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const { port } = other.address() as AddressInfo
    const { output, exited } = await start({ PORT: String(port) })
    expect(await exited).toBe(1)
    expect(output).toEqual({ stdout: '', stderr: `Port ${port} is in use. Choose another: PORT=${port + 1} npm start\n` })
    other.close()
  })

  test('when PORT is no port', async () => {
    const { output, exited } = await start({ PORT: 'http' })
    expect(await exited).toBe(1)
    expect(output.stderr).toBe("PORT is a number from 0 to 65535, not 'http'.\n")
  })
})
