// Sums vitest's JSON reports in a folder into the last lines of a CI run: every failed test with its message, then the counts.
// The second argument is a stage that failed, if one did.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const [folder, failedStage] = process.argv.slice(2)
let passed = 0
let failed = 0
for (const name of readdirSync(folder).sort()) {
  const report = JSON.parse(readFileSync(join(folder, name), 'utf8'))
  for (const file of report.testResults) {
    const where = `${name.replace('.json', '')} ${relative(process.cwd(), file.name)}`
    if (file.message) console.log(`\n${where}\n${file.message}`)
    for (const test of file.assertionResults.filter(({ status }) => status === 'failed'))
      console.log(`\n${where}: ${test.fullName}\n${test.failureMessages.join('\n')}`)
  }
  console.log(`${name.replace('.json', '')}: ${report.numPassedTests} passed, ${report.numFailedTests} failed`)
  passed += report.numPassedTests
  failed += report.numFailedTests
}
if (failedStage) console.log(`failed at: ${failedStage}`)
// A stage can fail without a failing test (lint, types, a test file that does not load): that is a failure too.
if (failedStage && failed === 0) failed = 1
console.log(`${passed} passed, ${failed} failed`)
