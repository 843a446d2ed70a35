/** What the program tells about itself, over every protocol. */

/** Version and origin of this build. */
export interface BuildInfo {
  readonly version: string;
  /** Abbreviated commit, or empty. */
  readonly shortRevision: string;
  /** Full commit, or empty. */
  readonly fullRevision: string;
  /** Seconds since the epoch. */
  readonly builtAtS: number;
  readonly user: string;
  readonly host: string;
  readonly repository: string;
  readonly branch: string;
}

/** The two lines of OpenTSDB's `version`, over HTTP and telnet alike. */
export function versionText(build: BuildInfo): string {
  const date = new Date(build.builtAtS * 1_000).toISOString();
  return (
    `net.opentsdb.tools ${build.version} built at revision ${build.shortRevision} (MINT)\n` +
    `Built on ${date} by ${build.user}@${build.host}:${build.repository}\n`
  );
}
