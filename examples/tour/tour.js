/**
 * A tour of a living system, by itself: `npm run tour`. Every claim it makes is checked; the first that does not hold ends it with exit
 * code 1.
 */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startServer } from '../server/server.js'
import { bold, chapter, color, dim, green, milliseconds, red, say, show, sure, within } from './narrator.js'

const repository = fileURLToPath(new URL('../../', import.meta.url))
// Inside the repository, so that the copied plugins find their npm packages.
const folder = join(repository, 'data', `tour-${process.pid}`)
const plugins = join(folder, 'plugins')

const PATIENCE = 15_000

// ── what the tour keeps an eye on ──────────────────────────────────────────────────────────────────────────────────

let threads = 0
process.on('worker', (worker) => {
  threads++
  worker.once('exit', () => threads--)
})

const logged = []
const at = (level) => (fields, message) => logged.push({ level, message, ...fields })
const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }

/** The next of the kernel's own events that fits. */
const next = (kernel, event, fits, what) => {
  const { promise, resolve } = deferred()
  const off = kernel.on(event, (payload) => {
    if (!fits(payload)) return
    off()
    resolve(payload)
  })
  return within(PATIENCE, what, promise)
}

/** The next event on the bus that fits. */
const nextEvent = (kernel, topic, fits) => {
  const { promise, resolve } = deferred()
  const subscription = kernel.bus.subscribe(topic, (event) => {
    if (!fits(event)) return
    subscription.unsubscribe()
    resolve(event)
  })
  return within(PATIENCE, `an event on '${topic}'`, promise)
}

const deferred = () => {
  let resolve
  const promise = new Promise((settle) => (resolve = settle))
  return { promise, resolve }
}

const http = async (url, body) => {
  const response = await fetch(url, body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}

// ── the tour ───────────────────────────────────────────────────────────────────────────────────────────────────────

const tour = async () => {
  const began = performance.now()
  await mkdir(folder, { recursive: true })
  await cp(join(repository, 'plugins'), plugins, {
    recursive: true,
    filter: (path) => !/\.test\.[jt]s$|\.md$|tsconfig/.test(basename(path)),
  })

  say(bold('plugbay: a tour'))
  say(dim('An application of seven plugins, each in a thread of its own. The tour works on a copy of plugins/.'))

  chapter('It boots')
  const server = await startServer({ plugins, dataDir: join(folder, 'data'), port: 0, color, logger, say: show })
  const { kernel, url } = server
  say('')
  sure(
    'All seven plugins run, in the order of what they need.',
    kernel.plugins().map(({ state }) => state),
    Array(7).fill('running'),
  )

  chapter('A user logs in, and an event travels')
  const ada = { id: 'ada', name: 'Ada', email: 'ada@example.org' }
  show(`POST /users ${JSON.stringify(ada)}`)
  sure('The plugin users has kept her, in the SQLite file of the plugin database.', (await http(`${url}/users`, ada)).status, 201)

  const hops = []
  const watching = kernel.bus.subscribe('**', (event) => {
    if (!event.type.startsWith('kernel.')) hops.push(event)
  })
  const arrived = nextEvent(kernel, 'notification.sent', () => true)
  show('POST /login {"userId":"ada"}')
  await http(`${url}/login`, { userId: 'ada' })
  await arrived
  watching.unsubscribe()
  const generationOf = (name) => kernel.plugins().find((plugin) => plugin.name === name)?.generation
  for (const { type, source, time, data } of hops) {
    const generation = generationOf(source)
    const who = generation === undefined ? 'the application' : `plugin ${source}, generation ${generation}`
    show(`${dim(time.slice(11, 23))} ${bold(type.padEnd(18))} ${`from ${who}`.padEnd(40)} ${dim(JSON.stringify(data))}`)
  }
  sure(
    'One event led to the next: the application, then hello, then notifications, and none knows the other.',
    hops.map(({ type, source }) => `${type} from ${source}`),
    ['user.login from server', 'user.welcome from hello', 'notification.sent from notifications'],
  )
  const outbox = async () => (await http(`${url}/outbox`)).body
  const [mail] = await outbox()
  show(`GET /outbox → to ${mail.to}: ${mail.text}`)
  sure('The welcome is in the outbox.', mail.text, 'Welcome, ada!')

  chapter('A service is called')
  const thumbnails = await kernel.services.use('thumbnails', { range: '^1.0.0' })
  const [width, height] = [640, 480]
  const picture = Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), Buffer.alloc(width * height * 3, 200)])
  const asked = performance.now()
  const small = await thumbnails.make(picture, { width: 64 })
  show(`thumbnails.make(${picture.length} bytes, { width: 64 }) → ${small.length} bytes, in ${milliseconds(performance.now() - asked)}`)
  sure(
    'The picture came back smaller, made on a task thread of that plugin.',
    Buffer.from(small).subarray(0, 13).toString(),
    'P6\n64 48\n255\n',
  )
  const unknown = await kernel.services.use('thumbnail', { wait: 0 }).catch((error) => error)
  show(`services.use('thumbnail') → ${red(unknown.code)} ${unknown.message}`)
  sure('A slip is answered with the nearest name.', unknown.message.includes("Did you mean 'thumbnails'?"), true)

  chapter('A file is saved, and the plugin is replaced while it runs')
  const hello = join(plugins, 'hello', 'index.js')
  const original = await readFile(hello, 'utf8')
  const edited = original.replace('ctx.config.message', '`${ctx.config.message} Nice to see you.`')
  const replacedBy = (name, reason) =>
    next(kernel, 'plugin:replaced', (event) => event.name === name && event.reason === reason, `${name} is replaced: ${reason}`)
  const logIn = async () => {
    const sent = nextEvent(kernel, 'notification.sent', () => true)
    await http(`${url}/login`, { userId: 'ada' })
    await sent
    return (await outbox()).at(-1).text
  }

  show(
    `plugins/hello/index.js\n${red("-  ctx.config.message.replaceAll('{userId}', userId)")}\n${green("+  `${ctx.config.message} Nice to see you.`.replaceAll('{userId}', userId)")}`,
  )
  const replacement = replacedBy('hello', 'file change')
  const saved = performance.now()
  await writeFile(hello, edited)
  const { from, to, ms } = await replacement
  const took = performance.now() - saved
  sure(
    `Generation ${to} took over from ${from}, ${milliseconds(took)} after the save (of which the replacement took ${milliseconds(ms)}).`,
    [from, to],
    [1, 2],
  )
  const text = await logIn()
  show(`POST /login, GET /outbox → ${text}`)
  sure(
    'The next login is answered by the new code. No other plugin, and not the server, was restarted.',
    text,
    'Welcome, ada! Nice to see you.',
  )

  chapter('A plugin is dropped in, and crashes, and comes back')
  const arrival = next(kernel, 'plugin:state', ({ name, to: state }) => name === 'fragile' && state === 'running', 'fragile runs')
  await writeFile(
    join(plugins, 'fragile.js'),
    `import { definePlugin } from 'plugbay/plugin'
export default definePlugin({
  async start(ctx) {
    ctx.bus.subscribe('fragile.drop', () => {
      setTimeout(() => { throw new Error('It fell off the table.') })
    })
    await ctx.services.provide('fragile', { generation: () => ctx.generation })
  },
})
`,
  )
  await arrival
  const fragile = await kernel.services.use('fragile')
  sure('A file in plugins/ is a plugin: it runs, and its service answers.', await fragile.generation(), 1)

  const fault = next(kernel, 'plugin:fault', ({ name }) => name === 'fragile', 'fragile crashes')
  const recovery = replacedBy('fragile', 'crash')
  await kernel.bus.publish('fragile.drop')
  const { error } = await fault
  const fell = performance.now()
  show(`${red(error.code)} ${error.message}`)
  const gone = await fragile.generation().catch((reason) => reason)
  sure('Whoever calls it now is told at once, and waits for nothing.', gone.code, 'SERVICE_GONE')
  sure('Everybody else runs on.', (await http(`${url}/users/ada`)).status, 200)
  await recovery
  sure(
    `It came back ${milliseconds(performance.now() - fell)} later, and the same reference reaches generation 2.`,
    await fragile.generation(),
    2,
  )

  chapter('A file is broken, and the old generation stays')
  const broken = next(kernel, 'plugin:fault', ({ name }) => name === 'hello', 'the broken file is noticed')
  logged.length = 0
  await writeFile(hello, edited.replace('definePlugin({', 'definePlugin({{'))
  const screen = (await broken).error
  show(`${red(screen.code)} ${screen.message}`)
  sure('The plugin runs on as it was.', [generationOf('hello'), await logIn()], [2, 'Welcome, ada! Nice to see you.'])
  const mend = replacedBy('hello', 'file change')
  await writeFile(hello, original)
  await mend
  sure('The mended file is taken up at the next save.', await logIn(), 'Welcome, ada!')

  chapter('It stops, and leaves nothing')
  const report = await kernel.unload('fragile')
  sure('Unloading fragile left nothing behind: its report is empty.', report, { name: 'fragile', left: [] })
  const stopped = performance.now()
  await within(PATIENCE, 'the server stops', server.close())
  sure(
    `All stopped in order, in ${milliseconds(performance.now() - stopped)}.`,
    kernel.plugins().map(({ state }) => state),
    Array(7).fill('stopped'),
  )
  sure(
    'Nothing was left behind.',
    logged.filter(({ message }) => message.startsWith('Left behind')),
    [],
  )
  sure('No thread is left.', threads, 0)

  say('')
  say(
    bold(`That was the tour, in ${milliseconds(performance.now() - began)}. Now run npm start, and edit plugins/hello/index.js yourself.`),
  )
}

// Whatever holds the process must not hold whoever waits for it.
setTimeout(() => {
  console.error(red('The tour did not end by itself within 60 s.'))
  process.exit(1)
}, 60_000).unref()

try {
  await tour()
} catch (error) {
  const lines = logged.slice(-10).map(({ level, plugin = 'kernel', message }) => `  ${level} ${plugin} ${message}`)
  console.error(
    `\n${red('The tour ended early:')} ${error.message}\n${lines.length > 0 ? `\nThe last lines of the log:\n${lines.join('\n')}\n` : ''}`,
  )
  if (error.name !== 'AssertionError') console.error(error.stack)
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 })
}
if (process.exitCode === 1) process.exit()
