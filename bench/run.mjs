/**
 * Runs bench files, each group of each in a process of its own (what one group taught the compiler must not count for the next), and
 * prints figures and targets.
 *
 *   node bench/run.mjs [name…] [--json file] [--strict] [--rounds n] [--round-ms n] [--only text]
 *
 * Without names: all of bench/*.mjs but this and the harness. `--only` picks groups whose title contains the text.
 * The exit code is 0 whatever the figures are, 1 with `--strict` when a target is missed, 1 when a bench itself failed.
 */
import { fork } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runGroup, table } from './harness.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'string' },
    strict: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    'round-ms': { type: 'string' },
    only: { type: 'string' },
  },
})

const number = (text) => (text === undefined ? undefined : Number(text))

/** In the child: one group of one bench file. */
const runOne = async (name, index) => {
  const { groups } = await import(new URL(`${name}.mjs`, import.meta.url))
  const picked = groups.filter(({ title }) => values.only === undefined || title.includes(values.only))
  if (picked[index] === undefined) return
  const group = await runGroup(picked[index], { rounds: number(values.rounds), roundMs: number(values['round-ms']) })
  await new Promise((resolve) => process.send({ group }, resolve))
}

/** In the parent: a child for one group. Resolves with its figures, or undefined when there is no such group. */
const spawn = (name, index) =>
  new Promise((resolve, reject) => {
    let figures
    const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
      env: { ...process.env, PLUGBAY_BENCH_FILE: name, PLUGBAY_BENCH_GROUP: String(index) },
      execArgv: ['--expose-gc'],
    })
    child.on('message', ({ group }) => {
      figures = group
      console.log(table(group))
    })
    child.on('exit', (code) =>
      code === 0 ? resolve(figures) : reject(new Error(`bench/${name}.mjs, group ${index}, ended with code ${code}`)),
    )
  })

if (process.env.PLUGBAY_BENCH_FILE && process.send) {
  await runOne(process.env.PLUGBAY_BENCH_FILE, Number(process.env.PLUGBAY_BENCH_GROUP))
  process.exit(0)
} else {
  const all = readdirSync(here)
    .filter((file) => file.endsWith('.mjs') && file !== 'run.mjs' && file !== 'harness.mjs')
    .map((file) => file.slice(0, -'.mjs'.length))
  const unknown = positionals.filter((name) => !all.includes(name))
  if (unknown.length > 0) {
    console.error(`There is no bench named ${unknown.join(', ')}. There are: ${all.join(', ')}.`)
    process.exit(1)
  }
  const report = {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model,
    date: new Date().toISOString(),
    benches: {},
  }
  console.log(`Node ${process.version}, ${report.platform}, ${report.cpu}, ${cpus().length} cores`)
  for (const name of positionals.length > 0 ? positionals : all) {
    report.benches[name] = []
    try {
      for (let figures = await spawn(name, 0); figures !== undefined; figures = await spawn(name, report.benches[name].length)) {
        report.benches[name].push(figures)
      }
    } catch (error) {
      console.error(`\n${error.message}`)
      process.exitCode = 1
    }
  }
  const targets = Object.values(report.benches).flatMap((groups) => groups.flatMap((group) => group.targets))
  const missed = targets.filter(({ pass }) => !pass).length
  console.log(`\n${targets.length - missed} of ${targets.length} targets reached`)
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  if (values.strict && missed > 0) process.exitCode = 1
}
