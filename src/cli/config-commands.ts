import { effective, effectiveList, effectiveYaml } from '../config/effective.ts'
import { formatFinding, type Finding } from '../config/finding.ts'
import { jsonSchema } from '../config/json-schema.ts'
import { loadSettings } from '../config/load.ts'
import { EXIT, json, painter, UsageError, type Command, type ExitCode, type Options, type Shell } from './command.ts'

const configFile = (options: Options, shell: Shell): string => {
  const file = options.config ?? shell.env.SALLYPORT_CONFIG
  if (!file) throw new UsageError('--config FILE is missing')
  return file
}

export const loadConfig = (options: Options, shell: Shell) => loadSettings({ file: configFile(options, shell), env: shell.env })

/** One block per finding, then the count. */
export const findingsText = (findings: readonly Finding[], coloured: boolean): string => {
  const count = (severity: Finding['severity']): number => findings.filter((finding) => finding.severity === severity).length
  const plural = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
  const blocks = findings.map((finding) => `${formatFinding(finding, painter(coloured))}\n`)
  return `${blocks.join('\n')}${findings.length > 0 ? '\n' : ''}${plural(count('error'), 'error')}, ${plural(count('warning'), 'warning')}\n`
}

const check = async (options: Options, shell: Shell): Promise<ExitCode> => {
  const loaded = loadConfig(options, shell)
  const findings = loaded.kind === 'ok' ? loaded.warnings : loaded.findings
  shell.out(options.output === 'json' ? json({ ok: loaded.kind === 'ok', findings }) : findingsText(findings, shell.colours.out))
  return loaded.kind === 'refused' || (options.strict && findings.length > 0) ? EXIT.findings : EXIT.ok
}

const print = async (options: Options, shell: Shell): Promise<ExitCode> => {
  const loaded = loadConfig(options, shell)
  if (loaded.kind === 'refused') {
    if (options.output === 'json') shell.out(json({ ok: false, findings: loaded.findings }))
    else shell.err(findingsText(loaded.findings, shell.colours.err))
    return EXIT.findings
  }
  const root = effective(loaded.written, loaded.origins)
  shell.out(options.output === 'json' ? json({ ok: true, settings: effectiveList(root) }) : effectiveYaml(root))
  return EXIT.ok
}

const schema = async (_options: Options, shell: Shell): Promise<ExitCode> => {
  shell.out(json(jsonSchema()))
  return EXIT.ok
}

export const configCommands: readonly Command[] = [
  {
    name: 'config check',
    summary: 'say what is wrong with a configuration, offline',
    usage: 'config check --config FILE',
    options: ['config', 'strict', 'output'],
    run: check,
  },
  {
    name: 'config print',
    summary: 'show every setting in effect and where it comes from, without secrets',
    usage: 'config print --config FILE',
    options: ['config', 'output'],
    run: print,
  },
  {
    name: 'config schema',
    summary: 'print the JSON Schema (draft-07) of the configuration file',
    usage: 'config schema',
    options: ['output'],
    run: schema,
  },
]
