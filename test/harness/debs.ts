import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

/** A program that somebody else installed or that we unpacked: where it is, what it needs in its environment, how it was found. */
export interface Program {
  readonly bin: string
  readonly env: Readonly<Record<string, string>>
  readonly how: string
}

/** Outside node_modules, which `npm ci` deletes. */
export const cacheHome = (): string => join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'sallyport-test')

/** The first of `names` that stands on PATH. */
export const onPath = (...names: readonly string[]): Program | undefined => {
  for (const name of names)
    for (const dir of (process.env['PATH'] ?? '').split(delimiter))
      if (dir !== '' && existsSync(join(dir, name))) return { bin: join(dir, name), env: {}, how: join(dir, name) }
  return undefined
}

/** A package of one release does not run on another one: both are part of the cache's name. */
const release = (): string => {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  return `${/^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1] ?? 'unknown'}-${process.arch}`
}

/** Only the C library and its kin stay the system's own; nothing else is left out because it is installed here: that differs from machine to machine. */
const SYSTEM_OWN = new Set([
  'libc6',
  'libc-bin',
  'libcrypt1',
  'libgcc-s1',
  'gcc-12-base',
  'gcc-14-base',
  'perl-base',
  'dpkg',
  'tar',
  'debconf',
])

const QUIET_DEPENDS = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`)

export interface DebsRequest {
  /** Names the folder in the cache; change it when `packages` or `finish` change. */
  readonly name: string
  readonly packages: readonly string[]
  /** Works on the unpacked root before anybody sees it; a throw discards it. */
  readonly finish?: (root: string) => void
  readonly timeoutMs?: number
  /** Also from what was built for this release out of a later one: of the mirror that apt has for this one. */
  readonly backports?: boolean
}

/**
 * Debian packages and all they need, downloaded and unpacked into the cache without root. Returns the unpacked root.
 * Built aside and renamed, so that a half-made folder is never used; of two runs at once the first to finish wins, the other takes its folder.
 * @throws when this is no Debian, the network is away, or `finish` throws
 */
export const unpackDebs = ({ name, packages, finish, timeoutMs = 300_000, backports = false }: DebsRequest): string => {
  const root = join(cacheHome(), `${name}-${release()}`)
  if (existsSync(root)) return root
  if (!onPath('apt-get') || !onPath('dpkg-deb')) throw new Error('no apt-get and dpkg-deb here')
  process.stdout.write(`[packages] fetching ${packages.join(', ')} into ${dirname(root)}, once\n`)
  mkdirSync(dirname(root), { recursive: true })
  const work = mkdtempSync(`${root}.making-`)
  try {
    for (const sub of ['lists/partial', 'cache/archives/partial', 'debs']) mkdirSync(join(work, sub), { recursive: true })
    const run = (bin: string, args: readonly string[], cwd = work): string =>
      execFileSync(bin, args, { cwd, encoding: 'utf8', timeout: timeoutMs, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 26 })
    const settings = {
      'Dir::State::Lists': join(work, 'lists'),
      'Dir::Cache': join(work, 'cache'),
      'Debug::NoLocking': '1',
      'APT::Sandbox::User': '',
    }
    const network = { 'Acquire::Retries': '3', 'Acquire::http::Timeout': '30', 'Acquire::https::Timeout': '30' }
    const apt = Object.entries({ ...settings, ...network }).flatMap(([key, value]) => ['-o', `${key}=${value}`])
    if (backports) {
      const file = join(work, 'sources.list')
      writeFileSync(file, backportsSource(run('apt-get', ['indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages'])))
      apt.push('-o', `Dir::Etc::SourceList=${file}`)
    }
    run('apt-get', [...apt, 'update', '-qq'])
    const closure = run('apt-cache', [...apt, 'depends', '--recurse', ...QUIET_DEPENDS, ...packages])
    // Lines that start with a name are packages; indented ones repeat them as relations, `<name>` is virtual.
    const wanted = new Set([...packages, ...closure.split('\n').filter((line) => /^[a-z0-9]/.test(line))].map((line) => line.trim()))
    run(
      'apt-get',
      [...apt, 'download', '-qq', ...wanted].filter((word) => !SYSTEM_OWN.has(word)),
      join(work, 'debs'),
    )
    for (const deb of readdirSync(join(work, 'debs'))) run('dpkg-deb', ['-x', join(work, 'debs', deb), join(work, 'root')])
    finish?.(join(work, 'root'))
    // Another run may have put its own there meanwhile. A rename onto a folder with content fails, and theirs is as good as ours.
    if (!existsSync(root)) renameOrTakeTheirs(join(work, 'root'), root)
    return root
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** For apt's list beside those in its folder: what this machine has there, and one line more. @throws when apt has no mirror of this release */
const backportsSource = (targets: string): string => {
  const [codename] = release().split('-')
  const mirror = targets.split('\n').find((line) => line.endsWith(` ${codename}`))
  if (!mirror) throw new Error('apt has no mirror of this release')
  const own = existsSync('/etc/apt/sources.list') ? readFileSync('/etc/apt/sources.list', 'utf8') : ''
  return `${own}\ndeb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror.split(' ')[0] ?? ''} ${codename}-backports main\n`
}

const renameOrTakeTheirs = (from: string, to: string): void => {
  try {
    renameSync(from, to)
  } catch (error) {
    if (!existsSync(to)) throw error
  }
}

/** Folders with shared libraries of an unpacked root, for LD_LIBRARY_PATH. Chromium's sound library keeps one in a folder of its own. */
export const libraryDirs = (root: string): readonly string[] =>
  ['usr/lib', 'lib']
    .filter((lib) => existsSync(join(root, lib)))
    .flatMap((lib) =>
      readdirSync(join(root, lib))
        .filter((dir) => dir.endsWith('-linux-gnu'))
        .map((dir) => join(root, lib, dir)),
    )
    .flatMap((dir) => [dir, join(dir, 'pulseaudio')])
    .filter((dir) => existsSync(dir))
