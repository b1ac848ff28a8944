// What lies under every map: land and borders of Natural Earth (public domain), from this
// server, or raster tiles of whoever runs it; and the colours, which are the page's own.

import {
  Map as MapLibre,
  setWorkerUrl,
  type GeoJSONSource,
  type MapOptions,
  type StyleSpecification,
} from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import { feature, mesh } from 'topojson-client';
import type { GeometryCollection, Topology } from 'topojson-specification';
import worldUrl from 'world-atlas/countries-50m.json?url';
import type { components } from '../../api/schema';
import { COLOURS, SEVERITIES, SHAPES } from '../severity';

export type Ground = components['schemas']['Ground'];

setWorkerUrl(workerUrl);

const EMPTY: GeoJSON.FeatureCollection = { type: 'FeatureCollection', features: [] };
/** Pixels of a severity's picture, for screens of twice the usual density. */
const PICTURE = 48;

/** Whether this browser can draw a map at all. */
export function drawable(): boolean {
  return document.createElement('canvas').getContext('webgl2') !== null;
}

type World = Topology<{ countries: GeometryCollection; land: GeometryCollection }>;
let world: Promise<World> | undefined;

function readWorld(): Promise<World> {
  world ??= fetch(worldUrl).then((answer) => {
    if (!answer.ok) throw new Error(`the land: ${answer.status}`);
    return answer.json() as Promise<World>;
  });
  // Another map tries again.
  world.catch(() => (world = undefined));
  return world;
}

/** A colour of the page as it is now, as the map's own language has it. */
export function colour(box: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  box.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function style(box: HTMLElement, ground: Ground): StyleSpecification {
  const tiles = ground.tiles;
  return {
    version: 8,
    sources: {
      land: { type: 'geojson', data: EMPTY },
      borders: { type: 'geojson', data: EMPTY },
      ...(tiles && { tiles: { type: 'raster' as const, tiles: [tiles], tileSize: 256, maxzoom: 19 } }),
    },
    layers: [
      { id: 'sea', type: 'background', paint: { 'background-color': colour(box, '--sea') } },
      { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': colour(box, '--land') } },
      {
        id: 'borders',
        type: 'line',
        source: 'borders',
        paint: { 'line-color': colour(box, '--border'), 'line-width': 1.2 },
      },
      ...(tiles ? [{ id: 'tiles', type: 'raster' as const, source: 'tiles' }] : []),
    ],
  };
}

/** A map on its ground. Land comes when it has come: nothing waits for it. */
export function draw(box: HTMLElement, ground: Ground, options: Partial<MapOptions> = {}): MapLibre {
  const map = new MapLibre({
    container: box,
    style: style(box, ground),
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    fadeDuration: 0,
    maxZoom: 19,
    ...options,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.on('load', () => {
    readWorld().then(
      (world) => {
        const { land, countries } = world.objects;
        source(map, 'land')?.setData(feature(world, land));
        source(map, 'borders')?.setData({ type: 'Feature', properties: {}, geometry: mesh(world, countries) });
      },
      // The map works without; points lie on the sea.
      (error: unknown) => console.warn(error),
    );
    paint(map, box);
  });
  return map;
}

/** A source of points or shapes; none once the map is gone. */
export function source(map: MapLibre, id: string): GeoJSONSource | undefined {
  return map.getSource<GeoJSONSource>(id);
}

/** Colours of the theme that holds now. */
export function paint(map: MapLibre, box: HTMLElement): void {
  map.setPaintProperty('sea', 'background-color', colour(box, '--sea'));
  map.setPaintProperty('land', 'fill-color', colour(box, '--land'));
  map.setPaintProperty('borders', 'line-color', colour(box, '--border'));
  for (const severity of SEVERITIES) {
    const picture = pictureOf(SHAPES[severity], colour(box, COLOURS[severity]), colour(box, '--panel'));
    if (map.hasImage(severity)) map.updateImage(severity, picture);
    else map.addImage(severity, picture, { pixelRatio: 2 });
  }
}

/** A shape in its colour, with an edge that stands off from any ground. */
function pictureOf(path: string, fill: string, edge: string): ImageData {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = PICTURE;
  const pen = canvas.getContext('2d');
  if (!pen) return new ImageData(PICTURE, PICTURE);
  const shape = new Path2D(path);
  // The shapes' boxes are 20 wide; the rest is for the edge.
  pen.scale(PICTURE / 24, PICTURE / 24);
  pen.translate(2, 2);
  pen.lineJoin = 'round';
  pen.lineWidth = 3;
  pen.strokeStyle = edge;
  pen.stroke(shape);
  pen.fillStyle = fill;
  pen.fill(shape, 'evenodd');
  return pen.getImageData(0, 0, PICTURE, PICTURE);
}

/** Calls when the colours of the page change; answers how to stop that. */
export function onTheme(call: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const chosen = new MutationObserver(call);
  chosen.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  system.addEventListener('change', call);
  return () => {
    chosen.disconnect();
    system.removeEventListener('change', call);
  };
}
