// Runs a command under another Node: `node scripts/with-node.mjs 24 -- npx vitest run`. The binary comes from npm, without
// install scripts, into .node/<version>/, and is kept there.
import { execFileSync, spawnSync } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fromNpm } from './from-npm.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The path of the Node binary of that version (a semver range such as `24`), fetched when it is not there yet. */
export const nodeBinary = (version) => {
  const windows = process.platform === 'win32'
  const name = `node-${windows ? 'win' : process.platform}-${process.arch}`
  return fromNpm(join(root, '.node', version), name, version, join('bin', windows ? 'node.exe' : 'node'))
}

/** The environment in which `node` is that binary. */
export const environmentOf = (binary) => ({ ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` })

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [version, dashes, command, ...args] = process.argv.slice(2)
  if (!version || dashes !== '--' || !command) {
    console.error('usage: node scripts/with-node.mjs <version> -- <command> [arguments]')
    process.exit(2)
  }
  const binary = nodeBinary(version)
  console.log(`Node ${execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()}`)
  const { status } = spawnSync(command, args, { stdio: 'inherit', env: environmentOf(binary), shell: process.platform === 'win32' })
  process.exitCode = status ?? 1
}
