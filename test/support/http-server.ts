/** A server over HTTP in the test's own thread. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Seen {
  method: string | undefined
  url: string | undefined
  authorization: string | undefined
  body: string
}

/** `seen` are the requests it got, with their bodies. */
export const serve = async (answer: (request: IncomingMessage, response: ServerResponse) => void) => {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += String(chunk)))
    request.on('end', () => {
      seen.push({ method: request.method, url: request.url, authorization: request.headers.authorization, body })
      answer(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { server, seen, port, url: `http://127.0.0.1:${port}` }
}
