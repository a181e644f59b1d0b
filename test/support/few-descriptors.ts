/** Runs a module as a process with few descriptors, which are soon gone: `exhaust()` takes them all, and returns what gives them back. */
import { execFile } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { root } from './command.js'

/** More than a plugin's process is given. */
const DESCRIPTORS = 512

const EXHAUST = `
  import { closeSync, openSync } from 'node:fs'
  const exhaust = () => {
    const held = []
    try { for (;;) held.push(openSync('/dev/null')) } catch {}
    return () => held.splice(0).forEach((fd) => closeSync(fd))
  }`

/** The URL of a built module of plugbay's, as text for a program. */
export const built = (path: string): string => JSON.stringify(pathToFileURL(`${root}/dist/${path}`).href)

/** What it prints, which is to be JSON. `cwd`: the folder it runs in. */
export const withFewDescriptors = async (program: string, cwd = root): Promise<unknown> => {
  const starts = `ulimit -n ${DESCRIPTORS}; exec "$0" --input-type=module -e "$1"`
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', starts, process.execPath, EXHAUST + program], { cwd })
  return JSON.parse(stdout)
}
