import { expect, it } from 'vitest'
import { configErrorsDoc, metricsDoc, problemsDoc, settingsDoc } from '../../../src/cli/docs-pages.ts'
import { policyDoc } from '../../../src/cli/docs-policy.ts'
import { CONFIG_CODES } from '../../../src/config/codes.ts'
import { settingNames } from '../../../src/config/known.ts'
import { METRICS } from '../../../src/domain/metric.ts'
import { PROBLEMS } from '../../../src/domain/problem.ts'
import { RULE_WORDS } from '../../../src/policy/explain.ts'
import { DROPPED, DROPPED_FAMILIES } from '../../../src/proxy/dropped-names.ts'

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

it('docs/policy.md names every condition, every removed header, and where roles come from', () => {
  const page = policyDoc()
  expect(Object.values(RULE_WORDS).filter(({ setting }) => !page.includes(`| \`${setting}\` |`))).toEqual([])
  const words = new Set(page.split(/\s/))
  expect([...DROPPED, ...DROPPED_FAMILIES].filter((name) => !words.has(name))).toEqual([])
  expect(page).toContain('| `keycloak` | `roles`, `realm_access.roles`, `resource_access.CLIENT_ID.roles` |')
})
