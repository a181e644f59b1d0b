/** An HTTP server around a kernel, as any application would embed it: `main.js` runs it, the tour boots the same code. */
import { createServer } from 'node:http'
import { createKernel, renderBootTree } from 'plugbay'
import { makeRoutes } from './routes.js'

/** A port that is taken, and what to do. */
const listening = (server, port, host) =>
  new Promise((resolve, reject) => {
    server.once('error', (error) => {
      if (error.code === 'EADDRINUSE') error.message = `Port ${port} is in use. Choose another: PORT=${port + 1} npm start`
      if (error.code === 'EACCES') error.message = `Port ${port} is not for ordinary users. Choose one above 1023: PORT=3000 npm start`
      reject(error)
    })
    server.listen(port, host, () => resolve(`http://${host}:${server.address().port}`))
  })

/** Nothing more on this connection: otherwise it would be kept, and waited for, until it has been idle for long. */
const lastOf = (response) => {
  if (!response.headersSent) response.setHeader('connection', 'close')
}

/**
 * Boots the kernel with its plugins and listens.
 *
 * @param {object} options
 * @param {string} options.plugins The folder of plugins.
 * @param {string} options.dataDir Where plugins keep their files.
 * @param {number} [options.port] 0: any that is free.
 * @param {string} [options.host]
 * @param {boolean} [options.watch] Whether a saved plugin is replaced.
 * @param {boolean} [options.color]
 * @param {import('plugbay').Logger} [options.logger] Default: the kernel's own, readable lines on standard error.
 * @param {(line: string) => void} [options.say] Where the server's own lines go.
 */
export const startServer = async ({
  plugins,
  dataDir,
  port = 3000,
  host = '127.0.0.1',
  watch = true,
  color = false,
  logger,
  say = console.log,
}) => {
  const kernel = await createKernel({
    name: 'server',
    plugins,
    dataDir,
    watch,
    config: { hello: { message: 'Welcome, {userId}!' } },
    ...(logger ? { logger } : {}),
  })

  // Listen first: whoever starts it twice should not boot a whole system to learn of the port. Requests wait until all is up.
  let up = () => {}
  const ready = new Promise((resolve) => (up = resolve))
  const answer = makeRoutes(kernel)
  const underWay = new Set()
  let closed
  const server = createServer((request, response) => {
    underWay.add(response)
    response.once('close', () => underWay.delete(response))
    if (closed) lastOf(response)
    void ready.then(() => answer(request, response))
  })
  const url = await listening(server, port, host)

  try {
    const report = await kernel.start()
    say(renderBootTree(report, { color }))
  } catch (error) {
    server.closeAllConnections()
    server.close()
    throw error
  }
  up()
  say(`\nListening on ${url}`)

  // The kernel's logger tells of replacements and faults, one line each. What it leaves to us: who came and who went.
  const resting = new Set()
  kernel.on('plugin:state', ({ name, generation, to, reason }) => {
    if (kernel.state !== 'running') return
    const returns = to === 'running' && resting.delete(name)
    if (to === 'running' && generation === 1) say(`+ ${name} came in, and runs`)
    else if (returns) say(`+ ${name} runs again`)
    if (to !== 'stopped' || reason.startsWith('replaced')) return
    resting.add(name)
    say(`- ${name} stopped: ${reason}`)
  })

  const close = () =>
    (closed ??= (async () => {
      // Outside in: no new requests, then those under way, then the plugins, each after those that need it.
      const ended = new Promise((resolve) => server.close(resolve))
      for (const response of underWay) lastOf(response)
      await ended
      await kernel.stop()
    })())

  return { kernel, url, close, [Symbol.asyncDispose]: close }
}
