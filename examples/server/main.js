/** Runs the example server: `npm start`, or `PORT=8080 npm start`; DATA_DIR says where its plugins keep their files, data/ by default. */
import { fileURLToPath } from 'node:url'
import { startServer } from './server.js'

const repository = new URL('../../', import.meta.url)
const at = (path) => fileURLToPath(new URL(path, repository))

const fail = (message) => {
  console.error(message)
  process.exit(1)
}

const port = Number(process.env.PORT ?? 3000)
if (!Number.isInteger(port) || port < 0 || port > 65535) fail(`PORT is a number from 0 to 65535, not '${process.env.PORT}'.`)

const color = process.stdout.isTTY === true && !process.env.NO_COLOR
const server = await startServer({ plugins: at('plugins'), dataDir: process.env.DATA_DIR ?? at('data'), port, color }).catch((error) =>
  fail(error.message),
)

console.log(`
  curl -d '{"id":"ada","name":"Ada","email":"ada@example.org"}' ${server.url}/users
  curl -d '{"userId":"ada"}' ${server.url}/login
  curl ${server.url}/outbox

Save plugins/hello/index.js and see it replaced. Ctrl-C stops.`)

let stopping = false
const stop = async (signal) => {
  if (stopping) fail(`${signal} again: not waiting any longer.`)
  stopping = true
  const began = performance.now()
  console.log(`\n${signal}: finishing what is under way …`)
  await server.close()
  console.log(`Stopped in ${Math.round(performance.now() - began)} ms.`)
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void stop(signal))
