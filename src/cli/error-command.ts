import { CONFIG_CODES, type ConfigCodeDefinition } from '../config/codes.ts'
import { PROBLEMS, type ProblemDefinition } from '../domain/problem.ts'
import { explainCode, type Stage } from '../domain/provider-code.ts'
import { EXIT, json, UsageError, type Command } from './command.ts'
import { labelled } from './text-table.ts'

const WIDTH = 100

export const STAGE_WORDS: Readonly<Record<Stage, string>> = {
  'sign-in': 'a sign-in, at the provider or on the way back',
  token: 'a request for a token',
  client: 'the gateway proves itself to the provider',
  'on-behalf-of': 'a token that a caller brought is turned in for another',
  logout: 'a sign-out',
}

/** What `-o json` prints beside `ok`; absent things are null. */
interface Told {
  readonly code: string
  readonly kind: 'provider' | 'problem' | 'config'
  readonly where: string
  readonly means: string
  readonly fix: string
}

/** AADSTS numbers, OAuth errors, problems and findings of the configuration: one place to look a code up in. */
export const errorCommand: Command = {
  name: 'error',
  summary: 'say what a code means, where it is met and what to do: AADSTS700027, invalid_grant, session.ended, config.…',
  usage: 'error CODE',
  options: ['output'],
  operandsMax: 1,
  run: async (options, shell) => {
    const [code] = options.operands
    if (code === undefined) throw new UsageError('error wants a code, such as AADSTS700027 or invalid_grant')
    const told = tell(code)
    if (!told) {
      // What was typed is not repeated: it may be anything.
      if (options.output === 'json') shell.out(json({ ok: false, reason: 'this code is not known' }))
      shell.err(
        labelled(
          [
            [
              'sallyport:',
              'this code is not known; docs/provider-errors.md, docs/problems.md and docs/config-errors.md list those that are',
            ],
          ],
          WIDTH,
          0,
        ),
      )
      return EXIT.findings
    }
    shell.out(
      options.output === 'json'
        ? json({ ok: true, ...told })
        : labelled(
            [
              ['code', told.code],
              ['met when', told.where],
              ['means', told.means],
              ['what to do', told.fix],
            ],
            Math.max(40, shell.columns ?? WIDTH),
            0,
          ),
    )
    return EXIT.ok
  },
}

const tell = (typed: string): Told | undefined => {
  const words = explainCode(typed)
  if (words) {
    const code = /^\d+$/.test(typed) ? `AADSTS${typed}` : typed
    return { code, kind: 'provider', where: STAGE_WORDS[words.stage], means: words.means, fix: words.fix }
  }
  const problem = Object.hasOwn(PROBLEMS, typed) ? (PROBLEMS as Readonly<Record<string, ProblemDefinition>>)[typed] : undefined
  if (problem)
    return {
      code: typed,
      kind: 'problem',
      where: `the gateway answers ${problem.status}`,
      means: problem.title,
      fix: problem.operator ?? problem.fix,
    }
  const finding = Object.hasOwn(CONFIG_CODES, typed) ? (CONFIG_CODES as Readonly<Record<string, ConfigCodeDefinition>>)[typed] : undefined
  return finding && { code: typed, kind: 'config', where: 'the configuration is read', means: finding.title, fix: finding.fix }
}
