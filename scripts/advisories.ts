import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * Holds what production runs with against the advisories that the package registry publishes: `npm run advisories`, before each release and by a schedule.
 * Red for one that nobody has judged, for a judgement that no longer applies, and where the registry cannot be asked: not to know is not to be safe.
 * Not part of `npm test`: an advisory that was published this morning is no fault of the commit of this afternoon.
 */

/** Advisories of a version that we run and that do not reach us. The newest that could be had when this was written; a newer one ends the entry. */
export const ACCEPTED: readonly Accepted[] = [
  {
    package: '@fastify/http-proxy',
    fixedIn: '11.6.10',
    ids: ['CVE-2026-130647', 'CVE-2026-129500', 'CVE-2026-129502', 'CVE-2026-133111', 'CVE-2026-127060'],
    because: 'WebSocket upgrades are refused before it, and paths with dot segments in any spelling by our own gate.',
    shownBy: {
      file: 'test/attack/proxy-transport.test.ts',
      title: 'no path of the corpus reaches the upstream, and none crashes the gateway',
    },
  },
  {
    package: '@fastify/http-proxy',
    fixedIn: '11.6.6',
    ids: ['CVE-2026-120213'],
    because: 'No prefix is rewritten by it: the target is built by us, from the canonical path.',
    shownBy: {
      file: 'test/attack/proxy-transport.test.ts',
      title: 'no path of the corpus reaches the upstream, and none crashes the gateway',
    },
  },
  {
    package: '@fastify/reply-from',
    fixedIn: '12.7.0',
    ids: ['CVE-2026-107318'],
    because: 'It opens no connection: requests go out by our own dispatcher, which verifies.',
    shownBy: { file: 'test/attack/proxy-transport.test.ts', title: 'TLS to the upstream is verified' },
  },
  {
    package: '@fastify/reply-from',
    fixedIn: '12.8.1',
    ids: ['GHSA-vp2r-3vgv-32g9'],
    because: 'Backslashes are refused before it.',
    shownBy: {
      file: 'test/attack/proxy-transport.test.ts',
      title: 'no path of the corpus reaches the upstream, and none crashes the gateway',
    },
  },
]

interface Accepted {
  readonly package: string
  /** The first version without it: what tells advisories of one package apart, as their ranges end before it. */
  readonly fixedIn: string
  readonly ids: readonly string[]
  readonly because: string
  readonly shownBy: { readonly file: string; readonly title: string }
}

/** One advisory, as `npm audit --json` tells it. */
interface Told {
  readonly name: string
  readonly range: string
  readonly url: string
  readonly severity: string
  readonly title: string
}
interface Report {
  readonly vulnerabilities?: Readonly<Record<string, { readonly via: readonly (Told | string)[] }>>
}

/** @returns those that nobody has judged; and how many somebody has */
export const judge = ({ vulnerabilities }: Report): { readonly open: readonly Told[]; readonly accepted: number } | undefined => {
  if (vulnerabilities === undefined) return undefined
  const told = Object.values(vulnerabilities).flatMap(({ via }) => via.filter((one) => typeof one !== 'string'))
  const open = told.filter(
    (one) => !ACCEPTED.some((known) => known.package === one.name && one.range.split(/\s+/).includes(`<${known.fixedIn}`)),
  )
  return { open, accepted: told.length - open.length }
}

const audit = (args: readonly string[]): Promise<Report> =>
  new Promise((resolve) => {
    // It exits with 1 where it found something: what it printed decides.
    execFile('npm', ['audit', '--json', '--omit=dev', ...args], { maxBuffer: 64 << 20, timeout: 120_000 }, (_, stdout) => {
      try {
        resolve(JSON.parse(stdout) as Report)
      } catch {
        resolve({})
      }
    })
  })

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  const judged = judge(await audit(process.argv.slice(2)))
  if (!judged)
    say('The registry told nothing about advisories (npm audit says why): nothing is known, so this is red. Ask where it can be asked.')
  for (const { name, range, severity, title, url } of judged?.open ?? []) say(`${severity}: ${name} ${range}: ${title} (${url})`)
  if (judged) say(`${judged.open.length} advisories to judge, ${judged.accepted} judged before (scripts/advisories.ts)`)
  if (!judged || judged.open.length > 0) process.exitCode = 1
}
