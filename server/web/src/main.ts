import { mount } from 'svelte';
import App from './App.svelte';
import { i18n } from './i18n/i18n.svelte';
import './style.css';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');
await i18n.start();
mount(App, { target });
