/** The bill of materials of an image, as SPDX 2.3 in JSON. */
import { createHash } from 'node:crypto';

/** The SHA-512 of each package's archive as the lock file has it, in hex, by `name@version`. */
export function lockedHashes(lockFile) {
  const entry =
    /^ {2}'?((?:@[^@\s]+\/)?[^@\s]+@[^:'(\s]+)'?:\n {4}resolution: \{integrity: sha512-([^,}]+)/gm;
  return new Map(
    [...lockFile.matchAll(entry)].map(([, id, hash]) => [id, Buffer.from(hash, 'base64').toString('hex')]),
  );
}

const unknown = 'NOASSERTION';
/** A package URL. */
const purl = (type, name, version) =>
  `pkg:${type}/${name.replace('@', '%40')}@${encodeURIComponent(version)}`;

function component({ type, name, version, license = unknown, sha512, url = purl(type, name, version) }) {
  return {
    SPDXID: `SPDXRef-${`${type}-${name}-${version}`.replace(/[^a-zA-Z\d.]+/g, '-')}`,
    name,
    versionInfo: version,
    downloadLocation: unknown,
    filesAnalyzed: false,
    licenseConcluded: unknown,
    licenseDeclared: license,
    copyrightText: unknown,
    ...(sha512 && { checksums: [{ algorithm: 'SHA512', checksumValue: sha512 }] }),
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: url }],
  };
}

const byId = (a, b) => (a.SPDXID < b.SPDXID ? -1 : a.SPDXID > b.SPDXID ? 1 : 0);

/**
 * @param image `{name, version, license}`
 * @param parts what is in it, each `{type, name, version, license?, sha512?}`; `type` as in package URLs (npm, deb, …)
 * @param time when it was made, a Date
 */
export function spdx(image, parts, time) {
  const top = component({ type: 'oci', ...image });
  const components = parts.map(component).sort(byId);
  const content = createHash('sha256')
    .update(JSON.stringify([top, components]))
    .digest('hex');
  const relation = (from, relationshipType, to) => ({
    spdxElementId: from,
    relationshipType,
    relatedSpdxElement: to,
  });
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: image.name,
    documentNamespace: `https://emotune.io/sbom/${image.name}-${image.version}-${content}`,
    creationInfo: {
      created: `${time.toISOString().slice(0, 19)}Z`,
      creators: ['Tool: emotune-image-root'],
    },
    packages: [top, ...components],
    relationships: [
      relation('SPDXRef-DOCUMENT', 'DESCRIBES', top.SPDXID),
      ...components.map(({ SPDXID }) => relation(top.SPDXID, 'CONTAINS', SPDXID)),
    ],
  };
  return `${JSON.stringify(document, undefined, 1)}\n`;
}
