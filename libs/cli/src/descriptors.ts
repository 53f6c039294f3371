/** The messages of the contract as descriptors, and the words that people write for its enum values. */
import { protoRoot, serviceFiles } from '@emotune/proto';
import protobuf from 'protobufjs';

let loaded: protobuf.Root | undefined;

function root(): protobuf.Root {
  if (loaded) return loaded;
  loaded = new protobuf.Root();
  loaded.resolvePath = (_, target) =>
    target.startsWith('google/protobuf/') ? target : `${protoRoot.replace(/\/$/, '')}/${target}`;
  loaded.loadSync([...serviceFiles]);
  loaded.resolveAll();
  return loaded;
}

/** @param name such as `emotune.data.v1.DatasetSpec` */
export function messageType(name: string): protobuf.Type {
  return root().lookupType(name);
}

/** The field of a message that holds settings by name: in YAML and JSON they stand beside its other fields. */
export function settingsField(type: protobuf.Type): protobuf.Field | undefined {
  return type.fieldsArray.find(
    (field) =>
      field instanceof protobuf.MapField &&
      field.name === 'settings' &&
      field.resolvedType?.name === 'ParameterValue',
  );
}

let enumNames: Map<string, string> | undefined;

/** `TASK_SENTIMENT_REGRESSION` → `sentiment-regression`; any other text as it is. */
export function shortEnumName(value: string): string {
  if (enumNames === undefined) {
    enumNames = new Map();
    const visit = (namespace: protobuf.NamespaceBase) => {
      for (const item of namespace.nestedArray) {
        if (item instanceof protobuf.Enum) {
          const prefix = `${item.name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()}_`;
          for (const name of Object.keys(item.values)) {
            enumNames!.set(name, name.slice(prefix.length).toLowerCase().replaceAll('_', '-'));
          }
        } else if (item instanceof protobuf.Namespace) visit(item);
      }
    };
    visit(root());
  }
  return enumNames.get(value) ?? value;
}
