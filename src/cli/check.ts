/** `plugbay check`: everything that is wrong with configuration, manifests and dependencies, at once. */
import { PlugbayError } from '../errors.js'
import { terminalStyle, wantsColor } from '../kernel/text/terminal-style.js'
import { visibleLine } from '../kernel/text/visible-text.js'
import { counted } from '../sentence.js'
import { permissionScreen } from './permission-screen.js'
import { problemScreen } from './problem-screen.js'
import { type PlaceOptions, type Project, type ProjectProblem, readProject } from './project.js'
import { EXIT } from './usage.js'

export interface CheckOptions extends PlaceOptions {
  json?: true
}

const asData = ({ error, victims }: ProjectProblem): object => ({
  code: error.code,
  message: error.message,
  plugin: error.plugin,
  details: error.details,
  victims,
})

/** Exits 1 where there is something to mend. */
export const check = async (folder: string, options: CheckOptions): Promise<void> => {
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
    summary = `${counted(project.waves.flat().length, 'plugin')} in ${counted(project.waves.length, 'wave')} would start${off > 0 ? `, ${off} disabled` : ''}`
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
  for (const remark of remarks) process.stdout.write(`${style.yellow('!')} ${visibleLine(remark)}\n`)
  if (problems.length === 0 && plugins.length === 0) {
    process.stdout.write(`${style.yellow('!')} There are no plugins: \`plugbay new plugin <name>\` makes a first one.\n`)
  } else if (problems.length === 0) {
    process.stdout.write(`${style.green('✓')} ${summary}; nothing to mend.\n`)
  } else {
    process.stdout.write(`${problemScreen(problems, style)}\n\n${style.red(counted(problems.length, 'problem'))}; ${summary}.\n`)
  }
}
