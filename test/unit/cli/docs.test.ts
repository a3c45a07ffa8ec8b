import { expect, it } from 'vitest'
import { configErrorsDoc, metricsDoc, problemsDoc, settingsDoc } from '../../../src/cli/docs-pages.ts'
import { CONFIG_CODES } from '../../../src/config/codes.ts'
import { settingNames } from '../../../src/config/known.ts'
import { METRICS } from '../../../src/domain/metric.ts'
import { PROBLEMS } from '../../../src/domain/problem.ts'

it.each([
  ['problems', problemsDoc(), Object.keys(PROBLEMS)],
  ['metrics', metricsDoc(), Object.keys(METRICS)],
  ['config-errors', configErrorsDoc(), Object.keys(CONFIG_CODES)],
])('docs/%s.md names everything in its table', (_name, page, names) => {
  expect(names.filter((name) => !page.includes(`| \`${name}\` |`))).toEqual([])
})

it('docs/settings.md names every setting of the schema', () => {
  const page = settingsDoc()
  const missing = [...settingNames()]
    .flatMap(([name, places]) => places.map((place) => (place === '' ? name : `${place}.${name}`)))
    .filter((path) => !page.includes(`\`${path}\``) && !page.includes(`\n## ${path}\n`))
  expect(missing).toEqual([])
})
