/** A debugger: speaks the inspector's protocol over a WebSocket made by hand, as Node 20 has none of its own. */
import { randomBytes } from 'node:crypto'
import { get } from 'node:http'
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'

export interface Message {
  id?: number
  method?: string
  params?: Record<string, unknown>
  result?: Record<string, unknown>
}

export interface Debugger {
  ask(method: string, params?: object): Promise<Record<string, unknown>>
  /** All it was told, in order. */
  told: Message[]
  /** Evaluates in the place's own global scope. */
  evaluate(expression: string): Promise<unknown>
  closed: Promise<void>
  close(): void
}

/** What a client sends is masked; one short message is one frame. */
const frameOf = (text: string): Buffer => {
  const data = Buffer.from(text)
  const head =
    data.length < 126 ? Buffer.from([0x81, 0x80 | data.length]) : Buffer.from([0x81, 0x80 | 126, data.length >> 8, data.length & 255])
  const mask = randomBytes(4)
  return Buffer.concat([head, mask, data.map((byte, at) => byte ^ (mask[at % 4] ?? 0))])
}

/** Takes whole frames from the front of the bytes; the inspector does not split its messages. */
const takeFrames = (bytes: Buffer): { texts: string[]; rest: Buffer } => {
  const texts: string[] = []
  let rest = bytes
  for (;;) {
    if (rest.length < 2) return { texts, rest }
    const short = (rest[1] ?? 0) & 127
    const head = short === 126 ? 4 : short === 127 ? 10 : 2
    if (rest.length < head) return { texts, rest }
    const length = short === 126 ? rest.readUInt16BE(2) : short === 127 ? Number(rest.readBigUInt64BE(2)) : short
    if (rest.length < head + length) return { texts, rest }
    if (((rest[0] ?? 0) & 15) === 1) texts.push(rest.subarray(head, head + length).toString())
    rest = rest.subarray(head + length)
  }
}

const upgraded = (url: string): Promise<{ socket: Duplex; head: Buffer }> =>
  new Promise((resolve, reject) => {
    const headers = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    }
    get(url.replace(/^ws:/, 'http:'), { headers, agent: false })
      .on('upgrade', (_, socket, head) => resolve({ socket, head }))
      .on('response', ({ statusCode }) => reject(new Error(`no WebSocket: ${statusCode}`)))
      .on('error', reject)
  })

/** The debuggers' list of what there is at a port of this machine. */
export const targetsAt = (port: number): Promise<{ title: string; webSocketDebuggerUrl: string }[]> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/json/list', agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(JSON.parse(text) as { title: string; webSocketDebuggerUrl: string }[]))
    }).on('error', reject)
  })

export const debuggerAt = async (url: string): Promise<Debugger> => {
  const { socket, head } = await upgraded(url)
  onTestFinished(() => void socket.destroy())
  const told: Message[] = []
  const waiting = new Map<number, (result: Record<string, unknown>) => void>()
  let bytes = head
  const read = (chunk: Buffer): void => {
    const { texts, rest } = takeFrames(Buffer.concat([bytes, chunk]))
    bytes = rest
    for (const text of texts) {
      const message = JSON.parse(text) as Message
      if (message.id === undefined) told.push(message)
      else waiting.get(message.id)?.(message.result ?? {})
    }
  }
  socket.on('data', read).on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  let asked = 0
  const ask = (method: string, params: object = {}): Promise<Record<string, unknown>> =>
    new Promise((resolve) => {
      const id = ++asked
      waiting.set(id, resolve)
      socket.write(frameOf(JSON.stringify({ id, method, params })))
    })
  const evaluate = async (expression: string): Promise<unknown> => {
    const { result } = (await ask('Runtime.evaluate', { expression, returnByValue: true })) as { result: { value: unknown } }
    return result.value
  }
  return { ask, told, evaluate, closed, close: () => void socket.destroy() }
}
