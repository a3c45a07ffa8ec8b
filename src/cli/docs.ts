import { readFileSync, writeFileSync } from 'node:fs'
import { configErrorsDoc, metricsDoc, problemsDoc, settingsDoc } from './docs-pages.ts'
import { policyDoc } from './docs-policy.ts'
import { providerErrorsDoc } from './docs-provider-errors.ts'
import { providersDoc } from './docs-providers.ts'

/** `npm run docs` writes the generated pages; `npm run docs:check` fails when one is out of date. */
const PAGES: Readonly<Record<string, () => string>> = {
  'settings.md': settingsDoc,
  'problems.md': problemsDoc,
  'metrics.md': metricsDoc,
  'config-errors.md': configErrorsDoc,
  'policy.md': policyDoc,
  'provider-errors.md': providerErrorsDoc,
  'providers.md': providersDoc,
}

const current = (file: URL): string | undefined => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined // not generated yet
  }
}

const mode = process.argv[2]
if (mode !== 'write' && mode !== 'check') {
  process.stderr.write('usage: node src/cli/docs.ts write|check\n')
  process.exitCode = 2
}
for (const [name, page] of mode === 'write' || mode === 'check' ? Object.entries(PAGES) : []) {
  const file = new URL(`../../docs/${name}`, import.meta.url)
  const wanted = page()
  if (current(file) === wanted) continue
  if (mode === 'write') {
    writeFileSync(file, wanted)
    process.stdout.write(`wrote docs/${name}\n`)
  } else {
    process.stderr.write(`docs/${name} is out of date: run \`npm run docs\`\n`)
    process.exitCode = 1
  }
}
