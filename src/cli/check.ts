/** `plugbay check`: everything that is wrong with configuration, manifests and dependencies, at once. */
import type { Command } from 'commander'
import { PlugbayError } from '../errors.js'
import { terminalStyle, wantsColor } from '../kernel/terminal-style.js'
import { permissionScreen } from './permission-screen.js'
import { problemScreen } from './problem-screen.js'
import { type PlaceOptions, type Project, type ProjectProblem, readProject, withPlace } from './project.js'
import { EXIT } from './usage.js'

interface CheckOptions extends PlaceOptions {
  json?: true
}

const plural = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

const asData = ({ error, victims }: ProjectProblem): object => ({
  code: error.code,
  message: error.message,
  plugin: error.plugin,
  details: error.details,
  victims,
})

const check = async (folder: string, options: CheckOptions): Promise<void> => {
  const style = terminalStyle(wantsColor(process.stdout))
  let problems: ProjectProblem[]
  let remarks: string[] = []
  let plugins: Project['plugins'] = []
  let summary: string
  try {
    const project = await readProject(folder, options)
    problems = project.problems
    plugins = project.plugins
    const off = project.plugins.filter(({ enabled }) => !enabled).length
    remarks = project.remarks
    summary = `${plural(project.waves.flat().length, 'plugin')} in ${plural(project.waves.length, 'wave')} would start${off > 0 ? `, ${off} disabled` : ''}`
  } catch (error) {
    if (!PlugbayError.is(error) || error.code === 'USAGE') throw error
    problems = [{ error, victims: [] }]
    summary = 'nothing would start'
  }
  if (problems.length > 0) process.exitCode = EXIT.failed
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ problems: problems.map(asData), remarks }, null, 2)}\n`)
    return
  }
  const permissions = permissionScreen(plugins, style)
  if (permissions !== '') process.stdout.write(`${permissions}\n\n`)
  for (const remark of remarks) process.stdout.write(`${style.yellow('!')} ${remark}\n`)
  if (problems.length === 0 && plugins.length === 0) {
    process.stdout.write(`${style.yellow('!')} There are no plugins: \`plugbay new plugin <name>\` makes a first one.\n`)
  } else if (problems.length === 0) {
    process.stdout.write(`${style.green('✓')} ${summary}; nothing to mend.\n`)
  } else {
    process.stdout.write(`${problemScreen(problems, style)}\n\n${style.red(plural(problems.length, 'problem'))}; ${summary}.\n`)
  }
}

export const addCheck = (program: Command): void => {
  withPlace(
    program
      .command('check')
      .description('say everything that is wrong with configuration, manifests and dependencies, and what each plugin may do'),
  )
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nNo plugin is run. Exit codes: 0 nothing to mend, 1 problems found, 2 wrong arguments.')
    .action(check)
}
