import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { libraryDirs, onPath, type Program, unpackDebs } from './debs.ts'

const environment = (root: string): Record<string, string> => ({
  LD_LIBRARY_PATH: libraryDirs(root).join(':'),
  FONTCONFIG_PATH: join(root, 'etc/fonts'),
  FONTCONFIG_FILE: join(root, 'etc/fonts/fonts.conf'),
})

const isElf = (file: string): boolean => readFileSync(file).subarray(0, 4).toString('latin1') === '\u007fELF'

/** Every file and link below `dir`; links to folders are not followed: one of them points to itself. */
const filesBelow = (dir: string): string[] =>
  existsSync(dir)
    ? readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? filesBelow(join(dir, entry.name)) : [join(dir, entry.name)],
      )
    : []

/** The libraries below `root` that the loader would take for `file`. */
const needs = (root: string, file: string): string[] =>
  execFileSync('ldd', [file], { encoding: 'utf8', env: { ...process.env, ...environment(root) }, stdio: ['ignore', 'pipe', 'ignore'] })
    .split('\n')
    .map((line) => /=> (\S+)/.exec(line)?.[1] ?? '')
    .filter((path) => path.startsWith(root + sep))

/** All that a browser depends on is over a gigabyte. Kept: its own folder, the crypto modules it loads by name, what the loader names for those, one font family. */
const prune = (root: string): void => {
  const programs = filesBelow(join(root, 'usr/lib/chromium')).filter((file) => statSync(file).size > 4 && isElf(file))
  const loadedByName = libraryDirs(root).flatMap((dir) => filesBelow(join(dir, 'nss')).concat(nssModules(dir)))
  const libraries = [...programs, ...loadedByName].flatMap((file) => needs(root, file))
  const kept = new Set([...libraries, ...loadedByName].flatMap((file) => [file, realpathSync(file)]).map((file) => relative(root, file)))
  const folders = ['usr/lib/chromium', 'usr/share/fonts/truetype/dejavu']
  for (const file of filesBelow(root)) {
    const path = relative(root, file)
    if (!kept.has(path) && !folders.some((folder) => path.startsWith(folder + sep))) rmSync(file)
  }
  mkdirSync(join(root, 'etc/fonts'), { recursive: true })
  // Relative to this file, because the folder is still going to be renamed.
  const fonts = '<dir prefix="relative">../../usr/share/fonts</dir><cachedir prefix="xdg">fontconfig</cachedir>'
  writeFileSync(
    join(root, 'etc/fonts/fonts.conf'),
    `<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>${fonts}</fontconfig>\n`,
  )
}

const nssModules = (dir: string): string[] =>
  ['libsoftokn3.so', 'libnssckbi.so', 'libfreebl3.so', 'libfreeblpriv3.so']
    .map((name) => join(dir, name))
    .filter((file) => existsSync(file))

const fromPackages = (): Program => {
  const packages = ['chromium', 'fonts-dejavu-core']
  const root = unpackDebs({ name: 'chromium-1', packages, finish: prune, timeoutMs: 600_000 })
  return { bin: join(root, 'usr/lib/chromium/chromium'), env: environment(root), how: 'Debian packages' }
}

const runs = (program: Program): Program => {
  const env = { ...process.env, ...program.env }
  execFileSync(program.bin, ['--version', '--no-sandbox'], { env, timeout: 60_000, stdio: ['ignore', 'pipe', 'pipe'] })
  return program
}

/** A Chromium for playwright-core, from the first source that has one: CHROMIUM_PATH, PATH, Debian packages. @throws when there is none to be had */
export const findChromium = (): Program => {
  const given = process.env['CHROMIUM_PATH']
  return runs(
    given
      ? { bin: given, env: {}, how: `CHROMIUM_PATH ${given}` }
      : (onPath('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable') ?? fromPackages()),
  )
}
