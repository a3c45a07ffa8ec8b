import { EXIT, type Command } from './command.ts'
import { version } from './version.ts'
import { findingsText, loadConfig } from './config-commands.ts'

/** Loads the settings, starts, and waits until a signal has stopped it. The rooms are loaded only once the configuration stands. */
export const serve: Command = {
  name: 'serve',
  summary: 'run the gateway',
  usage: 'serve --config FILE',
  options: ['config'],
  run: async (options, shell) => {
    const loaded = loadConfig(options, shell)
    const findings = loaded.kind === 'ok' ? loaded.warnings : loaded.findings
    if (findings.length > 0) shell.err(findingsText(findings, shell.colours.err))
    if (loaded.kind === 'refused') return EXIT.findings
    const { start } = await import('../assembly/start.ts')
    const gateway = await start(loaded.settings, { version: version() })
    await gateway.stopped
    return EXIT.ok
  },
}
