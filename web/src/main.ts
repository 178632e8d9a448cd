import { Page } from "./page.ts";
import "./styles/index.css";

new Page().start();
