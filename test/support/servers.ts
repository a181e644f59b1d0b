/** Servers of every kind that a plugin can reach, on ports of this machine; closed after the test. */
import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { onTestFinished } from 'vitest'

/** Known to both ends of TLS, instead of certificates. */
export const SHARED_KEY = '00112233445566778899aabbccddeeff'

const listening = async (server: Server, where: string | { host: string; port?: number }): Promise<number> => {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(typeof where === 'string' ? where : { port: 0, ...where }, resolve)
  })
  onTestFinished(() => void server.close())
  const address = server.address() as AddressInfo | string
  return typeof address === 'string' ? 0 : address.port
}

/** Says `hello` to whoever connects; a text is the path of a Unix socket. */
export const tcpServer = (where: string | { host: string; port?: number }): Promise<number> =>
  listening(
    createServer((socket) => socket.on('error', () => {}).end('hello')),
    where,
  )

/** Answers `hello`, and opens WebSockets. */
export const httpServer = (host: string): Promise<number> => {
  const server = createHttpServer((_request, response) => response.setHeader('connection', 'close').end('hello'))
  server.on('upgrade', ({ headers }, socket) => {
    const accept = createHash('sha1').update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    socket.on('error', () => {})
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
    onTestFinished(() => void socket.destroy())
  })
  return listening(server, { host })
}

/** HTTP/2 without TLS. */
export const http2Server = (host: string): Promise<number> => {
  const server = createHttp2Server((_request, response) => void response.end('hello'))
  return listening(server, { host })
}

/** TLS by the key that both ends know. */
export const tlsServer = (host: string): Promise<number> => {
  const server = createTlsServer({
    ciphers: 'PSK',
    maxVersion: 'TLSv1.2',
    pskCallback: () => Buffer.from(SHARED_KEY, 'hex'),
  } as object)
  server.on('secureConnection', (socket) => socket.on('error', () => {}).end('hello'))
  return listening(server, { host })
}

/** Sends back what it gets. */
export const udpServer = async (host: string): Promise<number> => {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (message, { address, port }) => socket.send(message, port, address))
  await new Promise<void>((resolve) => socket.bind(0, host, resolve))
  onTestFinished(() => void socket.close())
  return socket.address().port
}
