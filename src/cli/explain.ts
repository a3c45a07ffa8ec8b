import { EXIT, json, UsageError, type Command, type ExitCode, type Options, type Shell } from './command.ts'
import { findingsText, loadConfig } from './config-commands.ts'
import { claimOf, type Claim } from './explain-path.ts'
import { overviewText, routeText } from './explain-text.ts'
import { explanationOf, type Explanation } from './explanation.ts'
import { labelled, visible } from './text-table.ts'

/** Into a pipe or a file, and where the terminal does not say. */
const WIDTH = 100
const WIDTH_MIN = 40

/** Says what the configuration means, by the code that will act on it: offline, and without a secret. */
export const explain: Command = {
  name: 'explain',
  summary: 'say for every route as whom the upstream is called, by which token, and who gets in',
  usage: 'explain --config FILE [PATH|ROUTE]',
  options: ['config', 'output'],
  operandsMax: 1,
  run: async (options, shell) => {
    const loaded = loadConfig(options, shell)
    if (loaded.kind === 'refused') {
      if (options.output === 'json') shell.out(json({ ok: false, findings: loaded.findings }))
      else shell.err(findingsText(loaded.findings, shell.colours.err))
      return EXIT.findings
    }
    const explained = explanationOf(loaded)
    const page = { width: Math.max(WIDTH_MIN, shell.columns ?? WIDTH), coloured: shell.colours.out }
    const [wanted] = options.operands
    if (wanted === undefined) {
      shell.out(options.output === 'json' ? json({ ok: true, ...explained }) : overviewText(explained, page))
      return EXIT.ok
    }
    const target = pathOf(wanted, explained.public_url)
    return target === undefined
      ? tellRoute(wanted, explained, options, shell, page)
      : tellClaim(target, claimOf(target, loaded.settings, explained), explained, options, shell, page)
  },
}

type PageOf = Parameters<typeof routeText>[1]

/** A path, or a whole URL of ours; undefined: the name of a route, which never starts with a slash. */
const pathOf = (wanted: string, publicUrl: string): string | undefined => {
  if (wanted.startsWith(`${publicUrl}/`)) return wanted.slice(publicUrl.length)
  if (wanted.includes('://')) throw new UsageError('that URL does not start with public_url: give a path, or the name of a route')
  return wanted.startsWith('/') ? wanted : undefined
}

const tellRoute = (name: string, explained: Explanation, options: Options, shell: Shell, page: PageOf): ExitCode => {
  const routes = explained.routes.filter((route) => route.name === name)
  const [route] = routes
  if (!route) {
    // What was typed is not repeated: it may be anything.
    const names = explained.routes.map((one) => one.name).join(', ')
    if (options.output === 'json') shell.out(json({ ok: false, reason: 'no route has this name' }))
    shell.err(labelled([['sallyport:', `no route has this name; there are: ${names || 'none'}`]], page.width, 0))
    return EXIT.findings
  }
  shell.out(options.output === 'json' ? json({ ok: true, ...explained, routes }) : routeText(route, page))
  return EXIT.ok
}

const tellClaim = (target: string, claim: Claim, explained: Explanation, options: Options, shell: Shell, page: PageOf): ExitCode => {
  const [path = ''] = target.split('?') // a query may hold a code or a token
  const routes = explained.routes.filter(({ name }) => claim.kind === 'route' && name === claim.name)
  if (options.output === 'json') {
    shell.out(json({ ok: true, ...explained, routes, claim: { path, ...claim } }))
    return EXIT.ok
  }
  const head = labelled(
    [[visible(path).slice(0, page.width / 2), `${claim.kind === 'route' ? `route ${claim.name}: ` : ''}${claim.text}`]],
    page.width,
    0,
  )
  shell.out([head, ...routes.map((route) => routeText(route, page))].join('\n'))
  return EXIT.ok
}
