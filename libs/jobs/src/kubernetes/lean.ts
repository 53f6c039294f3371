/**
 * What is looked at of Jobs and pods, which is all that is kept of them: the API server's notes of who wrote which field, and the
 * pod's spec beside that of its Job, are most of what it sends.
 */
import type { V1Job, V1ObjectMeta, V1Pod } from '@kubernetes/client-node';

function leanMetadata({ managedFields: _, ...metadata }: V1ObjectMeta): V1ObjectMeta {
  return metadata;
}

/** With its containers' variables alone of what it makes pods of. */
export function leanJob({ metadata, spec, status }: V1Job): V1Job {
  const { containers } = spec!.template.spec!;
  const variables = containers.map(({ name, env }) => ({ name, ...(env ? { env } : {}) }));
  return {
    metadata: leanMetadata(metadata!),
    spec: {
      ...(spec!.suspend === undefined ? {} : { suspend: spec!.suspend }),
      template: { spec: { containers: variables } },
    },
    ...(status ? { status } : {}),
  };
}

/** With nothing of its spec but its node. */
export function leanPod({ metadata, spec, status }: V1Pod): V1Pod {
  const { nodeName } = spec!;
  return {
    metadata: leanMetadata(metadata!),
    spec: { containers: [], ...(nodeName === undefined ? {} : { nodeName }) },
    ...(status ? { status } : {}),
  };
}
